package state

import "caravan/scheduler/model"

// Store holds the state and its newest snapshot. All methods belong to the one
// writer; Snapshots may be handed to anybody.
type Store struct {
	tables   *tables
	snapshot *Snapshot
	open     bool
}

// NewStore returns an empty state, with the default queue in it.
func NewStore() *Store { return newStore(newTables()) }

func newStore(t *tables) *Store {
	return &Store{tables: t, snapshot: &Snapshot{t: t.copy()}}
}

// Snapshot returns the state as of the last commit.
func (s *Store) Snapshot() *Snapshot { return s.snapshot }

// Begin opens a transaction. There is one at a time; it cannot be undone,
// because an operation that fails has written nothing.
func (s *Store) Begin() *Txn {
	must(!s.open, "a transaction is open already")
	s.open = true
	return newTxn(s)
}

// Snapshot is the state at one moment. It never changes, and every method is
// safe for concurrent use. What it returns is shared: clone before changing.
type Snapshot struct{ t *tables }

// Index returns the raft index of the last operation in it.
func (s *Snapshot) Index() uint64 { return s.t.meta.applied }

// Time returns the state's clock: the largest time of any operation so far.
func (s *Snapshot) Time() model.Time { return s.t.meta.now }

// NextJobNumber returns the number that the next job will get.
func (s *Snapshot) NextJobNumber() uint64 { return s.t.meta.nextJob }
