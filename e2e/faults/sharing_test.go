package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"caravan/agent/cgroup"
	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/e2e/harness"
	"caravan/plugins/device/nvidia/fakenvml"
)

// sharingGroup is the control group of the tasks, by which their processes are known.
const sharingGroup = "/caravan-test-sharing"

// newSharing is a host with two A100: the first is shared by MPS, the second by turns.
func newSharing(t *testing.T) (*rig, *nvidiaBench) {
	t.Helper()
	dir := shortDir(t)
	b := newNVIDIABench(t, 1, fakenvml.A100)
	t.Cleanup(func() {
		if g, err := cgroup.Open(sharingGroup); err == nil {
			_ = g.Destroy() // its tasks have ended; an empty group that stays harms nobody
		}
	})
	prolog := write(t, dir, "prolog", "#!/bin/sh\necho $CARAVAN_DEVICES $CUDA_VISIBLE_DEVICES >> "+dir+"/prologs\n", 0o700)
	epilog := write(t, dir, "epilog", "#!/bin/sh\necho $CARAVAN_DEVICES >> "+dir+"/epilogs\n", 0o700)
	r := newRig(t, dir, 1, func(int) []string {
		plugin := b.Plugin(0) + " -share " + fakenvml.UUID(0) + "=mps -mps-control " + fakenvml.MPSControl(t, dir) + " -mps-dir " + filepath.Join(dir, "mps")
		return []string{"--device-plugin", plugin, "--isolation", "host", "--cgroup-parent", sharingGroup, "--prolog", prolog, "--epilog", epilog}
	})
	return r, b
}

// start submits a job of one task with one device request, and waits until it runs. The task writes
// its process number into a file of its name, and runs until the file go exists.
func (r *rig) start(name, owner, request string) (task *pb.Task, pid int) {
	r.t.Helper()
	parsed, err := jobspec.Parse("job.yaml", []byte(fmt.Sprintf(`
name: %s
run: |
  echo ${CUDA_MPS_PIPE_DIRECTORY:-} > %[2]s/%[1]s.pipe; echo $$ > %[2]s/%[1]s.pid
  while [ ! -e %[2]s/go ]; do sleep 0.05; done
resources: {cpu: 0.1, memory: 32MiB, devices: [%[3]s]}
`, name, r.dir, request)))
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := r.cl.Jobs.SubmitJob(r.ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Owner: owner, Spec: parsed.Spec})
	if err != nil {
		r.t.Fatal(err)
	}
	task = r.awaitTasks(s.JobId, "running", func([]*pb.Task) bool { return true })[0]
	if err := harness.Eventually(r.ctx, func() (bool, error) {
		pid, _ = strconv.Atoi(r.text(name + ".pid")) // it may not be there yet
		return pid > 0, nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return task, pid
}

// text is what is in a file of the rig's directory, "" if there is none.
func (r *rig) text(name string) string {
	raw, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// says waits until a command of the command line says all of something.
func (r *rig) says(args []string, wants ...string) {
	r.t.Helper()
	var out []byte
	lacks := ""
	if err := harness.Eventually(r.ctx, func() (bool, error) {
		var err error
		out, err = r.c.CLI(r.ctx, args...).CombinedOutput()
		for _, want := range wants {
			if !strings.Contains(string(out), want) {
				lacks = want
				return false, err
			}
		}
		return true, err
	}); err != nil {
		r.t.Fatalf("caravan %v never says %q: %v\n%s", args, lacks, err, out)
	}
}

func TestTasksOfASharedGPUAreBoundedMeasuredAndCharged(t *testing.T) {
	r, b := newSharing(t)
	first, second := fakenvml.UUID(0), fakenvml.UUID(1)
	ann, annPID := r.start("ann", "ann", "{gpu: 0.25, memory: 8GiB, sharing: mps}")
	bob, _ := r.start("bob", "bob", "{gpu: 0.25, memory: 8GiB, sharing: mps}")
	turns, turnsPID := r.start("turns", "ann", "{gpu: 0.5, memory: 16GiB, sharing: time_slice, decode: 0.5}")
	if device(ann) != first || device(bob) != first || device(turns) != second {
		t.Fatalf("they share %s, %s and %s", device(ann), device(bob), device(turns))
	}
	if a, b := r.text("ann.pipe"), r.text("bob.pipe"); a == "" || b == "" || a == b || r.text("turns.pipe") != "" {
		t.Errorf("the pipes of MPS are %q, %q and %q", a, b, r.text("turns.pipe"))
	}
	// What the driver tells: a process of each of two tasks, and one of nobody.
	use := func(n, energy int) fakenvml.Keys {
		return fakenvml.Keys{
			"gpu.0.process.0": fmt.Sprintf("%d 2048 -1 20", annPID), "gpu.0.memory_used_mib": "2100", "gpu.0.energy": strconv.Itoa(energy),
			"gpu.1.process.0": fmt.Sprintf("%d 1024 -1 90", turnsPID), "gpu.1.process.1": fmt.Sprintf("%d 512 -1 5", os.Getpid()), "gpu.1.busy": strconv.Itoa(n),
		}
	}
	energy := 200_000_000
	b.states[0].Set(use(95, energy))
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	counted := make(chan struct{})
	go func() { // the counter of energy runs on
		defer close(counted)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				energy += 400_000
				b.states[0].Set(fakenvml.Keys{"gpu.0.energy": strconv.Itoa(energy)})
			}
		}
	}()
	r.says([]string{"status", ann.JobId}, first+" compute_thousandths 250 by mps", first+" memory_mib 8192 by mps", "2 GiB", " 20 %", " J")
	r.says([]string{"status", turns.JobId}, "accounted only: "+second+" compute_thousandths 500", second+" decode_milli 500", "1 GiB", " 90 %")
	r.says([]string{"explain", ann.Last.Id}, first+" compute_thousandths 250 by mps", "2 GiB")
	r.says([]string{"explain", turns.Last.Id}, "accounted only: "+second+" compute_thousandths 500")
	// The stranger is seen, and nothing else is done about it.
	r.await(0, "squatted", func(all map[string]*pb.Device) bool {
		return all[second].Healthy && strings.HasPrefix(all[second].Attributes["squatters"].GetText(), strconv.Itoa(os.Getpid())+" ") && all[first].Attributes["squatters"] == nil
	})
	r.says([]string{"node", "show", agentName(0)}, "device-squatter")
	r.says([]string{"events"}, "device "+second+": device-squatter")
	stop()
	<-counted
	for n := range 2 {
		b.states[0].Set(fakenvml.Keys{fmt.Sprintf("gpu.%d.process.0", n): "", fmt.Sprintf("gpu.%d.process.1", n): "", "gpu.0.memory_used_mib": "0"})
	}
	write(t, r.dir, "go", "", 0o600)
	for _, task := range []*pb.Task{ann, bob, turns} {
		if err := harness.Eventually(r.ctx, func() (bool, error) {
			j, err := r.cl.Jobs.GetJob(r.ctx, &pb.GetJobRequest{JobId: task.JobId})
			return err == nil && j.State == pb.JobState_JOB_STATE_SUCCEEDED, err
		}); err != nil {
			t.Errorf("%s has not succeeded: %v", task.JobId, err)
		}
	}
	// What it was charged outlives the task, and the operator's programs have seen each.
	r.says([]string{"status", ann.JobId}, "2 GiB", " J")
	if p, e := r.text("prologs"), r.text("epilogs"); strings.Count(p, first+" "+first) != 2 || strings.Count(p, second+" "+second) != 1 || strings.Count(e, first) != 2 || strings.Count(e, second) != 1 {
		t.Errorf("prologs\n%s\nepilogs\n%s", p, e)
	}
}
