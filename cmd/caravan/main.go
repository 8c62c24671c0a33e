package main

import "os"

func main() { os.Exit(run(os.Args)) }

// run is the whole program. Commands that must not pay for the command line's
// start-up, or must not touch its state, are dispatched here before it.
func run(args []string) int {
	return newSession().execute(args[1:])
}
