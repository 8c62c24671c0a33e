// Package steps is the door through which a batch script starts steps on the nodes of its job:
// a socket in the allocation's own directory, behind which is the one call ExecTask.
//
// Who can reach the socket is of the job: the directory belongs to the task's user and is
// closed to all others, and sandboxes hide it from other tasks. A call names a node of the job
// by its position and nothing else; which allocation that is, the door knows from its
// assignment. So no script needs a credential, and none gets at another job.
//
// Calls go from agent to agent and not through the servers: steps run on while those are away.
//
// The runner opens a door before a script starts, or when it finds one running, and closes it
// when the script has ended. A Host is safe for concurrent use.
package steps
