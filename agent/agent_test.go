package agent_test

import (
	"os"
	"strings"
	"testing"

	"caravan/agent"
	pb "caravan/api/caravanv1"
)

const (
	running   = pb.AllocationState_ALLOCATION_STATE_RUNNING
	succeeded = pb.AllocationState_ALLOCATION_STATE_SUCCEEDED
	failed    = pb.AllocationState_ALLOCATION_STATE_FAILED
	stopped   = pb.AllocationState_ALLOCATION_STATE_STOPPED
	lost      = pb.AllocationState_ALLOCATION_STATE_LOST
)

func TestATaskRunsAndItsEndIsReported(t *testing.T) {
	h := newHost(t)
	h.start()
	ok := task(1, "echo hello")
	bad := task(2, "exit 3")
	none := task(3, "", func(a *pb.Assignment) { a.Variant.Command = []string{"/no/such/program"} })
	h.servers.Assign(ok, bad, none)
	if r := h.await(id(ok), succeeded); r.Exit.Reason != "exited" || r.StartedMs == 0 || r.EndedMs < r.StartedMs || r.Usage.Limits != "none" {
		t.Errorf("success reported as %v", r)
	}
	if r := h.await(id(bad), failed); r.Exit.Code != 3 || r.Exit.Reason != "exited" {
		t.Errorf("exit code 3 reported as %v", r)
	}
	if r := h.await(id(none), failed); r.Exit.Reason != "launch-failed" || r.Exit.Message == "" {
		t.Errorf("a missing program reported as %v", r)
	}
}

func TestACommandKnowsItsTask(t *testing.T) {
	h := newHost(t)
	h.start()
	out := h.path("seen")
	a := task(7, "", func(a *pb.Assignment) {
		a.Variant.Command = []string{"sh", "-c", `env > "$1"; echo "$2" >> "$1"`, "sh", out, "frame-${CARAVAN_INDEX} ${CARAVAN_NOPE} ${HOME}"}
		a.Group.Env = map[string]string{"COLOUR": "red", "SHAPE": "round"}
		a.Variant.Env = map[string]string{"COLOUR": "blue", "CARAVAN_INDEX": "forged"}
		a.Allocation.Indices = []int64{7, 9, 11}
		a.Allocation.CpuMilli = 2500
	})
	h.servers.Assign(a)
	h.await(id(a), succeeded)
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CARAVAN_JOB_ID=job-1", "CARAVAN_INDEX=7", "CARAVAN_INDICES=7 9 11", "CARAVAN_LAST=11", "CARAVAN_CPUS=2",
		"OMP_NUM_THREADS=2", "COLOUR=blue", "SHAPE=round", "LANG=C.UTF-8", "frame-7 ${CARAVAN_NOPE} ${HOME}",
		"HOME=" + h.path("allocs", id(a), "work"), "TMPDIR=" + h.path("allocs", id(a), "tmp"),
	} {
		if !strings.Contains("\n"+string(raw), "\n"+want+"\n") {
			t.Errorf("the command did not see %q in:\n%s", want, raw)
		}
	}
}

func TestLimitsAreEnforcedAndNamed(t *testing.T) {
	h := newHost(t)
	h.start(func(c *agent.Config) { c.CgroupParent, c.RequireLimits = testGroup, true })
	limits := h.servers.Info(node).Attributes["limits"].GetText()
	if limits != "v1" && limits != "v2" {
		t.Fatalf("the node's attribute limits is %q", limits)
	}
	hungry := task(1, "tail /dev/zero", func(a *pb.Assignment) { a.Allocation.MemoryMib = 32 })
	modest := task(2, "true")
	h.servers.Assign(hungry, modest)
	if r := h.await(id(hungry), failed); r.Exit.Reason != "oom" || r.Usage.Limits != limits || r.Usage.PeakMemoryBytes == 0 {
		t.Errorf("a task over its memory is reported as %v", r)
	}
	if r := h.await(id(modest), succeeded); r.Usage.Limits != limits {
		t.Errorf("a modest task is reported as %v", r)
	}
}

func TestLimitsThatAreRequiredAndMissingEndTheAgent(t *testing.T) {
	h := newHost(t)
	a, err := agent.New(agent.Config{DataDir: h.dataDir, Servers: []string{h.address}, RequireLimits: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(h.ctx); err == nil || !strings.Contains(err.Error(), "limits are required") {
		t.Errorf("ended with %v", err)
	}
}
