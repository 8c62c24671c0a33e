// Package workspace puts the directory that was sent along with a job into the working
// directories of its tasks. Packed directories are fetched from the servers once and kept, up
// to a bound, under their digest; each task gets a copy of its own. What is being unpacked is
// an open file, so that the cache may drop it meanwhile.
//
// An archive comes from a user and is unpacked by an agent that may be root: nothing in it
// leads out of the directory, is anything but a file, a directory or a link, or has bits that
// give rights away.
package workspace
