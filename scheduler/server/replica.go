package server

import (
	"io"

	"caravan/scheduler/consensus"
	"caravan/scheduler/fsm"
)

// replica fits the state machine to the log. The two packages do not know each
// other, so that each can be tested and replaced alone.
type replica struct{ fsm *fsm.FSM }

var _ consensus.StateMachine = replica{}

func (r replica) ApplyBatch(entries []consensus.Entry) []any {
	commands := make([]fsm.Entry, len(entries))
	for i, e := range entries {
		commands[i] = fsm.Entry(e)
	}
	return r.fsm.ApplyBatch(commands)
}

func (r replica) Snapshot() (consensus.Snapshot, error) { return r.fsm.Capture(), nil }

func (r replica) Restore(from io.Reader) error { return r.fsm.Restore(from) }
