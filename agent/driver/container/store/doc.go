// Package store is the contract between the agent and a program that keeps the images of containers.
//
// The program is one of its own, because clients of container runtimes are large, and because it then
// may hang or crash alone. It is called once for each thing to do, with a word as its last argument:
//
//	check            is the runtime there? answers Runtime
//	prepare          reads a Request, makes a file system for an allocation, answers Prepared
//	remove           reads a Request, of which ID counts, and drops that file system
//
// Requests come on standard input and answers go to standard output, each as one JSON object; what
// goes wrong is an Answer with a Failure. Preparing and removing may be repeated.
//
// Serve is the program's side of it, Program the agent's.
package store
