package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/consensus"
	"caravan/scheduler/consensus/memnet"
	"caravan/scheduler/fsm"
	"caravan/scheduler/state"
)

// member is one replica of the real state machine under real raft, in fake time.
type member struct {
	*consensus.Node
	id  string
	fsm *fsm.FSM
}

// newReplicas starts n voters on a network of their own.
func newReplicas(t *testing.T, n int) (*memnet.Network, []*member) {
	t.Helper()
	var initial []consensus.Server
	for i := range n {
		id := fmt.Sprint("s", i+1)
		initial = append(initial, consensus.Server{ID: id, Addr: id, Voter: true})
	}
	net := memnet.New()
	var members []*member
	for _, s := range initial {
		m := &member{id: s.ID, fsm: fsm.New(fsm.Config{})}
		node, err := consensus.New(consensus.Config{
			ServerID: s.ID, Transport: net.Join(s.ID), StateMachine: replica{m.fsm}, Bootstrap: true, InitialServers: initial,
			// Small, so that snapshots are taken and installed.
			SnapshotThreshold: 200, SnapshotInterval: 20 * time.Second, TrailingLogs: 64,
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Node = node
		members = append(members, m)
	}
	return net, members
}

// leading returns a server that takes itself for the leader; one that was cut
// off a moment ago still does.
func leading(members []*member) *member {
	for _, m := range members {
		if m.IsLeader() {
			return m
		}
	}
	return nil
}

// TestReplicasAgreeThroughPartitions submits and stops jobs for ten virtual
// minutes while servers are cut off in turn, repeating every command whose
// outcome is unknown under its own request id, and then compares replicas.
func TestReplicasAgreeThroughPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, members := newReplicas(t, 3)
		rng := rand.New(rand.NewPCG(1, 2))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { // the nemesis
			defer close(done)
			for ctx.Err() == nil {
				time.Sleep(time.Duration(3+rng.IntN(10)) * time.Second)
				victim := leading(members)
				if victim == nil || rng.IntN(2) == 0 {
					victim = members[rng.IntN(len(members))]
				}
				net.Cut(victim.id)
				time.Sleep(time.Duration(2+rng.IntN(10)) * time.Second)
				net.Mend(victim.id)
			}
		}()
		acked := submitForTenMinutes(t, members)
		cancel()
		<-done
		time.Sleep(time.Minute)
		compare(t, members, acked)
		for _, m := range members {
			if err := m.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// submitForTenMinutes returns the id that each acknowledged request was given.
func submitForTenMinutes(t *testing.T, members []*member) map[string]string {
	acked := make(map[string]string)
	ambiguous := 0
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for begin, i := time.Now(), 0; time.Since(begin) < 10*time.Minute; i++ {
		key := fmt.Sprint("request-", i)
		op := &pb.Command{RequestId: key, Op: &pb.Command_SubmitJob{SubmitJob: &pb.SubmitJob{Owner: "ann", Spec: helloSpec(fmt.Sprint("j", i), 10)}}}
		for {
			<-pace.C
			m := leading(members)
			if m == nil {
				continue
			}
			op.TimeMs = time.Now().UnixMilli()
			data, err := proto.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			answer, _, err := m.Propose(ctx, data)
			cancel()
			if err == nil {
				r := answer.(fsm.Result)
				if r.Err != nil {
					t.Fatalf("%s: %v", key, r.Err)
				}
				acked[key] = r.Answer.JobID
				break
			}
			if errors.Is(err, consensus.ErrAmbiguous) {
				ambiguous++
			}
		}
	}
	t.Logf("%d acknowledged, %d outcomes unknown at first", len(acked), ambiguous)
	if ambiguous == 0 {
		t.Error("the nemesis never hit a proposal: this run proves nothing")
	}
	return acked
}

func compare(t *testing.T, members []*member, acked map[string]string) {
	first := members[0].fsm.Snapshot()
	if n := first.JobCount(); n != len(acked) {
		t.Errorf("%d jobs for %d acknowledged requests", n, len(acked))
	}
	for key, id := range acked {
		if _, ok := first.Job(id); !ok {
			t.Errorf("%s was acknowledged as %s, which does not exist", key, id)
		}
	}
	for i, m := range members {
		snap := m.fsm.Snapshot()
		if err := state.Check(snap); err != nil {
			t.Errorf("replica %d: %v", i+1, err)
		}
		if state.Digest(snap) != state.Digest(first) {
			t.Errorf("replica %d differs from replica 1", i+1)
		}
	}
}
