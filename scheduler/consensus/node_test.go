package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestConfigIsValidated(t *testing.T) {
	good := func() Config {
		return Config{ServerID: "s1", BindAddr: "127.0.0.1:0", StateMachine: &listMachine{}}
	}
	for _, tc := range []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"nothing wrong", func(*Config) {}, ""},
		{"no ID", func(c *Config) { c.ServerID = "" }, "ServerID is empty"},
		{"no address", func(c *Config) { c.BindAddr = "" }, "BindAddr is empty"},
		{"no state machine", func(c *Config) { c.StateMachine = nil }, "StateMachine is missing"},
		{"entries too large", func(c *Config) { c.MaxEntryBytes = 1 << 20 }, "MaxEntryBytes is 1048576"},
		{"too many commands", func(c *Config) { c.MaxEntryCommands = 1 << 16 }, "MaxEntryCommands is 65536"},
		{"queue below an entry", func(c *Config) { c.MaxQueuedBytes = 1 }, "MaxQueuedBytes is 1"},
		{"negative bound", func(c *Config) { c.MaxPendingReads = -1 }, "MaxPendingReads is -1"},
		{"lease above heartbeat", func(c *Config) { c.Timing = LANTiming(); c.Timing.LeaderLease = time.Second }, "LeaderLeaseTimeout"},
		{"half a watchdog", func(c *Config) { c.Watchdog = Watchdog{Bound: time.Second} }, "Watchdog needs"},
		{"no watchdog", func(c *Config) { c.Watchdog = Watchdog{Disabled: true} }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := good()
			tc.spoil(&c)
			_, err := c.withDefaults()
			if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestSubscribersSeeLeadershipComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		l := c.leader()
		changes, done := l.Subscribe()
		defer done()
		first := <-changes
		if !first.Leader || first.LeaderID != l.id || first.Term == 0 {
			t.Fatalf("at first: %+v", first)
		}
		// A subscriber that takes nothing does not hold up raft.
		_, idle := l.Subscribe()
		defer idle()
		c.isolate(l)
		now := c.leader()
		c.heal()
		c.propose(now, 1)
		c.converged()
		synctest.Wait()
		last := <-changes
		if last.Leader || last.LeaderID != now.id || last.Term <= first.Term {
			t.Fatalf("in the end: %+v", last)
		}
		done()
		if err := now.TransferLeadership(context.Background(), l.id); err != nil {
			t.Fatal(err)
		}
		c.until("leadership to return", l.IsLeader)
		select {
		case v := <-changes:
			t.Fatalf("after the end of the subscription: %+v", v)
		default:
		}
	})
}

func TestEverythingIsRefusedAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		l := c.leader()
		c.propose(l, 1)
		c.stop()
		c.stop() // twice is once
		ctx := context.Background()
		_, _, propose := l.Propose(ctx, command(2))
		_, read := Read(ctx, l.Node, l.machine.all)
		_, lease := l.ConfirmLeadership(ctx)
		_, snapshot := l.Snapshot(ctx)
		for name, err := range map[string]error{
			"propose": propose, "read": read, "lease": lease, "snapshot": snapshot,
			"add": l.AddNonvoter(ctx, "s2", "s2"), "remove": l.RemoveServer(ctx, "s2"),
		} {
			if !errors.Is(err, ErrShutdown) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if l.IsLeader() {
			t.Error("it still claims to lead")
		}
	})
}

// Commands that wait when a server shuts down learn that they were not
// proposed, and the one under way is finished.
func TestShutdownAnswersEveryCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk *stallingStore
		c := newCluster(t, 1, func(_ int, cfg *Config, _ *listMachine) {
			cfg.MaxInflightEntries, cfg.MaxEntryCommands = 1, 1
			disk = withStall(cfg)
		})
		l := c.leader()
		disk.stall.Store(int64(time.Second))
		results := make(chan error, 10)
		for id := range uint64(10) {
			go func() {
				_, _, err := l.Propose(context.Background(), command(id))
				results <- err
			}()
			synctest.Wait()
		}
		c.stop()
		applied, refused := 0, 0
		for range 10 {
			switch err := <-results; {
			case err == nil:
				applied++
			case errors.Is(err, ErrShutdown) && !errors.Is(err, ErrAmbiguous):
				refused++
			default:
				t.Errorf("outcome: %v", err)
			}
		}
		if applied != 1 || refused != 9 || len(l.machine.all()) != 1 {
			t.Fatalf("%d applied, %d refused, the state is %v", applied, refused, l.machine.all())
		}
	})
}

func TestDamagedEntryHaltsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		l := c.leader()
		c.propose(l, 1)
		c.converged()
		envelope := appendEnvelope(nil, [][]byte{command(2)})
		envelope[envelopeHeader+commandOverhead] ^= 1
		future := l.raft.Apply(envelope, 0)
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		// A good command behind it must not be applied either.
		_ = l.raft.Apply(appendEnvelope(nil, [][]byte{command(3)}), 0).Error()
		synctest.Wait()
		ctx := context.Background()
		_, _, propose := l.Propose(ctx, command(4))
		_, read := Read(ctx, l.Node, l.machine.all)
		run := l.Run(ctx)
		for name, err := range map[string]error{"propose": propose, "read": read, "run": run} {
			var halted *HaltedError
			if !errors.As(err, &halted) || !errors.Is(err, errEnvelope) || halted.Index != future.Index() {
				t.Errorf("%s: %v", name, err)
			}
		}
		<-time.After(time.Second)
		for _, m := range c.nodes {
			if got := m.machine.all(); !slices.Equal(got, []uint64{1}) {
				t.Errorf("%s went on to %v", m.id, got)
			}
		}
	})
}

// halts collects what an applier reports.
type halts []*HaltedError

func (h *halts) stop(e *HaltedError) { *h = append(*h, e) }

func logOf(index uint64, commands ...uint64) *raft.Log {
	var data [][]byte
	for _, id := range commands {
		data = append(data, command(id))
	}
	return &raft.Log{Index: index, Term: 2, Type: raft.LogCommand, Data: appendEnvelope(nil, data)}
}

func TestAnswersFindTheirCommands(t *testing.T) {
	machine := &listMachine{}
	var h halts
	a := &applier{machine: machine, stop: h.stop}
	got := a.ApplyBatch([]*raft.Log{
		logOf(3, 10, 11),
		{Index: 4, Type: raft.LogConfiguration, Data: []byte("not an envelope")},
		logOf(5, 12),
		logOf(6, 13, 14, 15),
	})
	want := []any{answers{each: []any{1, 2}}, nil, answers{each: []any{3}}, answers{each: []any{4, 5, 6}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("answers are %v, want %v", got, want)
	}
	if len(h) != 0 || machine.outOfOrder != 0 || a.lastApplied() != 6 {
		t.Fatalf("halts %v, %d out of order, applied up to %d", h, machine.outOfOrder, a.lastApplied())
	}
}

func TestApplierStopsAtTheFirstBadEntry(t *testing.T) {
	machine := &listMachine{}
	var h halts
	a := &applier{machine: machine, stop: h.stop}
	bad := logOf(5, 12)
	bad.Data[len(bad.Data)-1] ^= 1
	got := a.ApplyBatch([]*raft.Log{logOf(4, 10), bad, logOf(6, 13)})
	if got[0].(answers).err != nil || got[1].(answers).err == nil || got[2].(answers).err == nil {
		t.Fatalf("answers are %v", got)
	}
	if again := a.Apply(logOf(7, 14)).(answers); again.err == nil {
		t.Fatal("it went on")
	}
	if !slices.Equal(machine.all(), []uint64{10}) || a.lastApplied() != 4 || len(h) != 1 || h[0].Index != 5 {
		t.Fatalf("state %v, applied up to %d, halts %v", machine.all(), a.lastApplied(), h)
	}
	if _, err := a.Snapshot(); !errors.Is(err, ErrHalted) {
		t.Fatalf("a halted node made a snapshot: %v", err)
	}
	if err := a.Restore(io.NopCloser(strings.NewReader(""))); !errors.Is(err, ErrHalted) {
		t.Fatalf("a halted node restored a snapshot: %v", err)
	}
}

// shortMachine breaks its contract: one answer is missing.
type shortMachine struct{ listMachine }

func (m *shortMachine) ApplyBatch(entries []Entry) []any {
	return m.listMachine.ApplyBatch(entries)[1:]
}

func TestStateMachineOwesOneAnswerPerCommand(t *testing.T) {
	var h halts
	a := &applier{machine: &shortMachine{}, stop: h.stop}
	got := a.Apply(logOf(4, 10, 11)).(answers)
	if !errors.Is(got.err, ErrHalted) || len(h) != 1 || !strings.Contains(h[0].Error(), "1 answers to 2 commands") {
		t.Fatalf("answer %v, halts %v", got, h)
	}
}

func TestSnapshotHeaderIsChecked(t *testing.T) {
	for name, data := range map[string]string{
		"empty":           "",
		"a cut header":    snapshotMagic + "\x00",
		"another program": "backup_1" + strings.Repeat("\x00", 8),
		"a newer format":  "caravan\x02" + strings.Repeat("\x00", 8),
	} {
		t.Run(name, func(t *testing.T) {
			a := &applier{machine: &listMachine{}, stop: new(halts).stop}
			if err := a.Restore(io.NopCloser(strings.NewReader(data))); err == nil {
				t.Fatal("it was restored")
			}
		})
	}
}

// A raft that keeps refusing because of a hand-over that is over does not come
// to its senses; the node says so instead of refusing for ever.
func TestNodeHaltsWhenRaftIsStuckInAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		defer c.stop()
		l := c.leader()
		stuck := raft.ErrLeadershipTransferInProgress
		limit := 2 * transportTimeout
		l.noteTransferState(stuck)
		<-time.After(limit)
		l.noteTransferState(nil) // a success in between resets it
		l.noteTransferState(stuck)
		<-time.After(limit)
		l.noteTransferState(stuck)
		if l.unable() != nil {
			t.Fatal("halted too early")
		}
		<-time.After(time.Millisecond)
		l.noteTransferState(stuck)
		if err := l.Run(context.Background()); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "restart this server") {
			t.Fatalf("run ended with %v", err)
		}
	})
}
