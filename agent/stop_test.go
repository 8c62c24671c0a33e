package agent_test

import (
	"context"
	"os"
	"testing"
	"time"

	"caravan/agent/link/linktest"
	pb "caravan/api/caravanv1"
)

func TestAStoppedTaskMayEndInItsOwnWay(t *testing.T) {
	h := newHost(t)
	h.start()
	ready := h.path("ready")
	a := task(1, `trap 'exit 75' TERM; touch "`+ready+`"; while :; do sleep 0.02; done`)
	h.servers.Assign(a)
	h.awaitFile(ready)
	h.servers.RequestStop(node, id(a))
	if r := h.await(id(a), stopped); r.Exit.Reason != "stopped" || r.Exit.Code != 75 {
		t.Errorf("reported as %v", r)
	}
}

func TestAStoppedTaskThatDoesNotEndIsKilledAfterItsGrace(t *testing.T) {
	h := newHost(t)
	h.start()
	ready := h.path("ready")
	a := task(1, `trap '' TERM; touch "`+ready+`"; while :; do sleep 0.02; done`, func(a *pb.Assignment) { a.Group.KillGraceMs = 50 })
	h.servers.Assign(a)
	h.awaitFile(ready)
	h.servers.RequestStop(node, id(a))
	if r := h.await(id(a), stopped); r.Exit.Signal != 9 {
		t.Errorf("reported as %v", r)
	}
}

func TestAGangIsStoppedWhenTheLeaseEndsAndOtherTasksAreNot(t *testing.T) {
	h := newHost(t)
	h.servers.LeaseTTL = h.servers.HeartbeatInterval * 3
	h.start()
	gate, other := h.path("gang"), h.path("other")
	gang := h.holding(1, gate, func(a *pb.Assignment) {
		a.Group.Gang = true
		a.Gang = &pb.Gang{Nodes: []*pb.GangNode{{Name: "n0", Members: 1}, {Name: node, Members: 1}}, Rank: 1, WorldSize: 2, NodeRank: 1}
	})
	single := h.holding(2, other)
	deaf := h.path("deaf")
	stubborn := task(3, `trap '' TERM; touch "`+deaf+`"; while :; do sleep 0.02; done`, func(a *pb.Assignment) {
		a.Group.Gang, a.Group.KillGraceMs, a.LeaseGraceMs = true, time.Hour.Milliseconds(), 50
	})
	h.servers.Assign(gang, single, stubborn)
	h.await(id(gang), running)
	h.awaitFile(deaf)
	h.await(id(single), running)
	h.servers.SetFault(func(_ context.Context, method string, _ any) error {
		if method == "Heartbeat" {
			return linktest.Unavailable()
		}
		return nil
	}, nil)
	if r := h.await(id(gang), lost); r.Exit.Reason != "node-lost" {
		t.Errorf("the gang's end is reported as %v", r)
	}
	if r := h.await(id(stubborn), lost); r.Exit.Signal != 9 {
		t.Errorf("a member with a grace longer than the servers wait ended as %v", r)
	}
	if s := h.servers.State(node, id(single)); s != running {
		t.Errorf("the other task is now %v", s)
	}
	h.open(other)
	h.await(id(single), failed)
}

func TestOutputsArePublishedBeforeSuccess(t *testing.T) {
	h := newHost(t)
	h.start()
	out := h.path("out", "frame-3.txt")
	a := task(3, "echo pixels > frame", func(a *pb.Assignment) {
		a.Group.Outputs = []*pb.Output{{Path: "frame", To: h.path("out") + "/frame-${CARAVAN_INDEX}.txt"}}
	})
	h.servers.Assign(a)
	h.await(id(a), succeeded)
	if raw, err := os.ReadFile(out); err != nil || string(raw) != "pixels\n" {
		t.Errorf("published %q, %v", raw, err)
	}
	missing := task(4, "true", func(a *pb.Assignment) {
		a.Group.Outputs = []*pb.Output{{Path: "frame", To: h.path("out") + "/"}}
	})
	blocked := task(5, "touch frame", func(a *pb.Assignment) {
		a.Group.Outputs = []*pb.Output{{Path: "frame", To: out + "/below-a-file"}}
	})
	h.servers.Assign(missing, blocked)
	if r := h.await(id(missing), failed); r.Exit.Reason != "output-missing" {
		t.Errorf("a missing output is reported as %v", r)
	}
	if r := h.await(id(blocked), failed); r.Exit.Reason != "publish-failed" || r.Exit.Message == "" {
		t.Errorf("a failed publication is reported as %v", r)
	}
}
