package fsm

import "fmt"

// must stops the program when a command cannot be carried out as every other
// server does, because to skip it would make the servers differ for ever.
func must(e *Entry, err error, what, hint string) {
	if err != nil {
		panic(fmt.Sprintf("fsm: the command at index %d (term %d, position %d, %d bytes) %s: %v; %s", e.Index, e.Term, e.Position, len(e.Data), what, err, hint))
	}
}
