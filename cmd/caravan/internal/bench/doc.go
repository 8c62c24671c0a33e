// Package bench measures a cluster of real server processes on loopback:
// servers are child processes, so that their processor time is theirs alone,
// and the nodes are simulated in the calling process. `caravan bench` calls
// it. Whatever a measurement starts has ended, by process id, when it returns,
// also when its context ends early. It reads /proc and so runs on Linux alone.
package bench
