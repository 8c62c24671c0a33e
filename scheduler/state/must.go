package state

import "fmt"

// must stops the program when an invariant is broken, because going on would
// let this server's state differ from the others'.
func must(ok bool, format string, args ...any) {
	if !ok {
		panic("state: invariant broken: " + fmt.Sprintf(format, args...))
	}
}
