package main

import (
	"os"

	"caravan/agent/shim"
)

func main() { os.Exit(run(os.Args)) }

// run is the whole program. Commands that must not pay for the command line's
// start-up, or must not touch its state, are dispatched here before it.
func run(args []string) int {
	if len(args) == 3 && args[1] == "shim" {
		return shim.Main(args[2])
	}
	if len(args) >= 3 && args[1] == devicePluginCommand {
		return runDevicePlugin(args[2], args[3:], os.Stderr)
	}
	if code, ok := runSlurm(args[0], args[1:]); ok {
		return code
	}
	return newSession().execute(args[1:])
}
