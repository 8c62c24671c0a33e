package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
)

// drillPolicy is the built-in policy but for its patience: the drill has minutes, not hours.
func drillPolicy(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../agent/device/health/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, change := range [][2]string{{"\ncalm: 10m\n", "\ncalm: 1s\n"}, {"\nprobation: 30m\n", "\nprobation: 1s\n"}} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the policy has no line %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}

// drill is the rig with three tasks on four devices of two hosts.
type drill struct {
	*rig
	bench  Bench
	job    string
	goFile string
	tested string // lines of devices that were tested
}

func newDrill(t *testing.T, bench func(dir string) Bench) *drill {
	dir := shortDir(t)
	d := &drill{bench: bench(dir), tested: filepath.Join(dir, "tested")}
	policy := write(t, dir, "policy.yaml", drillPolicy(t), 0o600)
	test := write(t, dir, "self-test", "#!/bin/sh\necho $CARAVAN_DEVICES >> "+d.tested+"\n", 0o700)
	d.rig = newRig(t, dir, 2, func(agent int) []string {
		return []string{"--device-plugin", d.bench.Plugin(agent), "--health-policy", policy, "--device-self-test", test, "--isolation", "host"}
	})
	d.job, d.goFile = d.submit("hold", 3, "gpu")
	d.awaitTasks(d.job, "running", func([]*pb.Task) bool { return true })
	return d
}

// victim returns a running task, with the position of its agent.
func (d *drill) victim() (task *pb.Task, agent int) {
	task = d.tasks(d.job)[0]
	return task, int(task.Last.Node[1] - '1')
}

// inflict breaks a device, and tells how long it was until the servers knew it as wanted.
func (d *drill) inflict(agent int, device string, f Fault, what string, holds func(map[string]*pb.Device) bool) {
	d.t.Helper()
	if err := d.bench.Inflict(agent, device, f); err != nil {
		d.t.Fatal(err)
	}
	took := d.await(agent, what, holds)
	verdict := "within the promise"
	if took > promise {
		verdict = "LATE"
	}
	d.t.Logf("%s of %s after %v (%v promised): %s", what, agentName(agent), took.Round(10*time.Millisecond), promise, verdict)
}

func (d *drill) heal(agent int) {
	d.t.Helper()
	if err := d.bench.Heal(agent); err != nil {
		d.t.Fatal(err)
	}
}

// moved waits until a task runs again after it was lost, and checks that it was lost to a fault and
// that nobody else was disturbed.
func (d *drill) moved(before []*pb.Task, victim *pb.Task, code string) *pb.Task {
	d.t.Helper()
	after := d.awaitTasks(d.job, "running again", func(all []*pb.Task) bool { return all[victim.Ordinal].Attempts > victim.Attempts })
	for i, t := range after {
		if int64(i) != victim.Ordinal && t.Last.Id != before[i].Last.Id {
			d.t.Errorf("task %d was disturbed: it ran as %s and runs as %s", i, before[i].Last.Id, t.Last.Id)
		}
	}
	want := "task.lost " + victim.Last.Id + ": device-fault"
	events := d.events(d.job)
	i := strings.Index(events, want)
	if i < 0 {
		d.t.Fatalf("nothing says %q in:\n%s", want, events)
	}
	line, _, _ := strings.Cut(events[i:], "\n")
	if !strings.Contains(line, code) || !strings.Contains(line, device(victim)) {
		d.t.Errorf("the end does not name %s of %s: %s", code, device(victim), line)
	}
	return after[victim.Ordinal]
}

// back waits until a device is healthy after having been repaired and watched since the last time.
func (d *drill) back(agent int, id string, seen int) {
	d.t.Helper()
	took := d.await(agent, "back", func(all map[string]*pb.Device) bool {
		return all[id] != nil && all[id].Healthy && all[id].GetHealth().GetState() == pb.HealthState_HEALTH_STATE_HEALTHY
	})
	d.t.Logf("%s of %s back in %v", id, agentName(agent), took.Round(10*time.Millisecond))
	// A second sign of one fault, and a test that was passed, are lines without a change of state.
	want := []string{"quarantined", "repairing", "probation", "healthy"}
	if got := slices.Compact(states(d.devices(agent)[id])[seen:]); !slices.Equal(got, want) {
		d.t.Errorf("%s went through %v, want %v", id, got, want)
	}
}

func (d *drill) others(agent int, id string) {
	d.t.Helper()
	for a := range 2 {
		for other, dev := range d.devices(a) {
			if (a != agent || other != id) && !dev.Healthy {
				d.t.Errorf("%s of %s is out of service too: %s", other, agentName(a), dev.HealthReason)
			}
		}
	}
}

func TestDrill(t *testing.T) {
	d := newDrill(t, func(dir string) Bench { return simBench{dir} })
	t.Run("silent plugin", d.silent)
	d.run(t)
}

// run is what every vendor's devices go through.
func (d *drill) run(t *testing.T) {
	t.Run("off the bus", d.offTheBus)
	t.Run("contained error", d.contained)
	t.Run("count drop", d.dropped)
	t.Run("hung call", d.hung)
	t.Run("remade while idle", d.remade)
	if err := os.WriteFile(d.goFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Without a single retry allowed, four faults have cost the job nothing.
	var j *pb.Job
	if err := harness.Eventually(d.ctx, func() (bool, error) {
		var err error
		j, err = d.cl.Jobs.GetJob(d.ctx, &pb.GetJobRequest{JobId: d.job})
		return err == nil && j.State > pb.JobState_JOB_STATE_RUNNING, err
	}); err != nil || j.State != pb.JobState_JOB_STATE_SUCCEEDED {
		t.Errorf("the job ended as %v: %v", j, err)
	}
}

func (d *drill) offTheBus(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	victim, agent := d.victim()
	id := device(victim)
	d.inflict(agent, id, OffTheBus, id+" out", func(all map[string]*pb.Device) bool { return !all[id].Healthy })
	d.others(agent, id)
	d.moved(before, victim, d.bench.Code(OffTheBus))
	d.back(agent, id, 0)
	if raw, err := os.ReadFile(d.tested); err != nil || string(raw) != id+"\n" {
		t.Errorf("tested were %q: %v", raw, err)
	}
	d.heal(agent)
}

func (d *drill) contained(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	victim, agent := d.victim()
	id := device(victim)
	seen := len(d.devices(agent)[id].GetHealth().GetHistory())
	d.inflict(agent, id, Contained, id+" told of", func(all map[string]*pb.Device) bool {
		return len(all[id].GetHealth().GetHistory()) > seen
	})
	d.others(-1, "")
	d.moved(before, victim, d.bench.Code(Contained))
	d.others(-1, "")
	d.heal(agent)
}

func (d *drill) dropped(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	victim, agent := d.victim()
	id := device(victim)
	seen := len(d.devices(agent)[id].GetHealth().GetHistory())
	d.inflict(agent, id, Dropped, id+" out", func(all map[string]*pb.Device) bool { return all[id] != nil && !all[id].Healthy })
	d.others(agent, id)
	d.moved(before, victim, d.bench.Code(Dropped))
	d.heal(agent)
	d.back(agent, id, seen)
}

// hung takes out the device that hangs, and no other of its host.
func (d *drill) hung(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	victim, agent := d.victim()
	id := device(victim)
	seen := len(states(d.devices(agent)[id]))
	d.inflict(agent, id, Hung, id+" out", func(all map[string]*pb.Device) bool { return !all[id].Healthy })
	d.others(agent, id)
	d.moved(before, victim, d.bench.Code(Hung))
	d.others(agent, id)
	d.heal(agent)
	d.back(agent, id, seen)
}

// silent takes out what its plugin can say nothing of any more. Tasks run on.
func (d *drill) silent(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	_, agent := d.victim()
	ill := func(all map[string]*pb.Device) bool {
		for _, dev := range all {
			if dev.Healthy {
				return false
			}
		}
		return true
	}
	d.inflict(agent, "", Silent, "all out", ill)
	for id, dev := range d.devices(1 - agent) {
		if !dev.Healthy {
			t.Errorf("%s of the other host is out of service too: %s", id, dev.HealthReason)
		}
	}
	d.heal(agent)
	took := d.await(agent, "back", func(all map[string]*pb.Device) bool {
		for _, dev := range all {
			if !dev.Healthy {
				return false
			}
		}
		return true
	})
	t.Logf("all of %s back in %v", agentName(agent), took.Round(10*time.Millisecond))
	for i, task := range d.tasks(d.job) {
		if task.Last.Id != before[i].Last.Id || task.State != pb.TaskState_TASK_STATE_RUNNING {
			t.Errorf("task %d was disturbed: %v", i, task)
		}
	}
}

// remade splits a device that nobody uses: that is no fault of anything.
func (d *drill) remade(t *testing.T) {
	d.t = t
	before := d.tasks(d.job)
	for agent := range 2 {
		for id := range d.devices(agent) {
			if !slices.ContainsFunc(before, func(b *pb.Task) bool { return b.Last.Node == agentName(agent) && device(b) == id }) {
				d.split(agent, id)
			}
		}
	}
	for i, task := range d.tasks(d.job) {
		if task.Last.Id != before[i].Last.Id {
			t.Errorf("task %d was disturbed", i)
		}
	}
}

func (d *drill) split(agent int, id string) {
	parts, seen := d.bench.Parts(id), len(states(d.devices(agent)[id]))
	d.inflict(agent, id, Remade, id+" in parts", func(all map[string]*pb.Device) bool {
		return all[id] == nil && all[parts[0]].GetHealthy() && all[parts[1]].GetHealthy()
	})
	d.others(-1, "")
	d.heal(agent)
	d.await(agent, "whole again", func(all map[string]*pb.Device) bool { return all[id].GetHealthy() && all[parts[0]] == nil })
	if got := states(d.devices(agent)[id]); len(got) != seen {
		d.t.Errorf("%s went through %v: it is held for ill", id, got[seen:])
	}
}
