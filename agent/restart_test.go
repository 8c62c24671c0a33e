package agent_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"caravan/agent"
	"caravan/agent/link/linktest"
	pb "caravan/api/caravanv1"
)

// holding is a task that notes each start and its PID, and ends once its gate file appears.
func (h *host) holding(ordinal int64, gate string, change ...func(*pb.Assignment)) *pb.Assignment {
	return task(ordinal, `echo $$ >> "`+gate+`.starts"; while ! [ -e "`+gate+`" ]; do sleep 0.02; done; exit 5`, change...)
}

func (h *host) starts(gate string) int {
	raw, err := os.ReadFile(gate + ".starts")
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(string(raw), "\n")
}

func (h *host) open(gate string) {
	h.t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func TestARestartedAgentLeavesTasksAlone(t *testing.T) {
	h := newHost(t)
	_, stop := h.start()
	during, before := h.path("during"), h.path("before")
	a, b := h.holding(1, during), h.holding(2, before)
	h.servers.Assign(a, b)
	h.await(id(a), running)
	h.await(id(b), running)
	stop()
	h.open(before) // b ends while no agent is there
	h.awaitFile(h.path("allocs", id(b), "exit.json"))
	h.start()
	if r := h.await(id(b), failed); r.Exit.Code != 5 {
		t.Errorf("the end that nobody saw is reported as %v", r)
	}
	if s := h.servers.State(node, id(a)); s != running {
		t.Errorf("the running task is now %v", s)
	}
	h.open(during)
	h.await(id(a), failed)
	if n := h.starts(during) + h.starts(before); n != 2 {
		t.Errorf("two tasks were started %d times", n)
	}
}

func TestAfterARestartTheServersListIsWhatCounts(t *testing.T) {
	h := newHost(t)
	_, stop := h.start()
	gone, kept, halted := h.path("gone"), h.path("kept"), h.path("halted")
	a, b, c := h.holding(1, gone), h.holding(2, kept), h.holding(3, halted)
	h.servers.Assign(a, b, c)
	for _, x := range []*pb.Assignment{a, b, c} {
		h.await(id(x), running)
	}
	stop()
	h.servers.Unlist(node, id(a))
	h.servers.RequestStop(node, id(c))
	fresh := task(4, "true")
	h.servers.Assign(fresh)
	h.start()
	h.await(id(a), stopped)
	if r := h.await(id(c), stopped); r.Exit.Reason != "stopped" {
		t.Errorf("the stop is reported as %v", r)
	}
	h.await(id(fresh), succeeded)
	if s := h.servers.State(node, id(b)); s != running {
		t.Errorf("the healthy task is now %v", s)
	}
	h.open(kept)
	h.await(id(b), failed)
}

func TestAnUnacknowledgedEndIsReportedByTheNextAgent(t *testing.T) {
	h := newHost(t)
	_, stop := h.start()
	h.servers.SetFault(func(_ context.Context, method string, _ any) error {
		if method == "ReportAllocations" {
			return linktest.Unavailable()
		}
		return nil
	}, nil)
	a := task(1, "exit 4")
	h.servers.Assign(a)
	h.awaitFile(h.path("allocs", id(a), "result.json"))
	stop()
	h.servers.SetFault(nil, nil)
	_, stop = h.start()
	if r := h.await(id(a), failed); r.Exit.Code != 4 {
		t.Errorf("reported as %v", r)
	}
	h.awaitFile(h.path("allocs", id(a), "acknowledged"))
	stop()
	n := len(h.servers.Reports(node, id(a))) // a repetition may have been under way until here
	_, _ = h.start()
	last := task(2, "true")
	h.servers.Assign(last)
	h.await(id(last), succeeded)
	if more := len(h.servers.Reports(node, id(a))); more != n {
		t.Errorf("an acknowledged end was reported %d times more", more-n)
	}
}

// The agent's own process is killed here, with nothing written on its way out.
func TestAKilledAgentLosesNothing(t *testing.T) {
	h := newHost(t)
	gate := h.path("gate")
	a := h.holding(1, gate)
	for range 3 {
		cmd := exec.CommandContext(h.ctx, os.Args[0])
		cmd.Env = append(os.Environ(), agentProcess+"="+h.dataDir+" "+h.address)
		cmd.Stderr = os.Stderr
		seen := h.servers.Registrations(node)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.servers.Wait(h.ctx, func() bool { return h.servers.Registrations(node) > seen })
		h.servers.Assign(a)
		h.await(id(a), running)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
	h.start()
	h.open(gate)
	if r := h.await(id(a), failed); r.Exit.Code != 5 {
		t.Errorf("reported as %v", r)
	}
	if n := h.starts(gate); n != 1 {
		t.Errorf("the task was started %d times", n)
	}
}

func TestASecondAgentIsKeptOutOfTheDataDirectory(t *testing.T) {
	h := newHost(t)
	h.start()
	second, err := agent.New(agent.Config{DataDir: h.dataDir, Servers: []string{h.address}, Name: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(h.ctx); err == nil || !strings.Contains(err.Error(), "another agent runs on it") {
		t.Errorf("the second agent ended with %v", err)
	}
}
