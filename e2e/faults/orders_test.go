package faults

import (
	"fmt"
	"os"
	"strings"
	"testing"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
)

// TestADeviceThatEatsJobsIsFoundAndAnOperatorsWordHolds plays a device that makes every job fail:
// nothing is seen of it but that.
func TestADeviceThatEatsJobsIsFoundAndAnOperatorsWordHolds(t *testing.T) {
	dir := shortDir(t)
	r := newRig(t, dir, 2, func(agent int) []string {
		return []string{"--device-plugin", fmt.Sprintf("sim -machine gn4 -faults %s/none-%d", dir, agent)}
	})
	const hole = "sim-m40-1"
	for i := range 3 {
		r.pinned(fmt.Sprintf("eaten%d", i), agentName(0), hole, "exit 1", pb.JobState_JOB_STATE_FAILED)
	}
	r.await(0, "held for a black hole", func(all map[string]*pb.Device) bool {
		return !all[hole].Healthy && strings.Contains(all[hole].HealthReason, "suspect: black-hole")
	})
	for id, d := range r.devices(0) {
		if id != hole && !d.Healthy {
			t.Errorf("%s is held for ill too: %s", id, d.HealthReason)
		}
	}
	r.order(0, "return", hole)
	r.await(0, "returned", func(all map[string]*pb.Device) bool { return all[hole].Healthy })

	// An operator's quarantine stops what runs, at no charge, and outlives the agent.
	job, goFile := r.submit("hold", 4, "gpu")
	before := r.awaitTasks(job, "running", func([]*pb.Task) bool { return true })
	r.order(0, "quarantine", hole)
	r.await(0, "quarantined", func(all map[string]*pb.Device) bool {
		return !all[hole].Healthy && strings.Contains(all[hole].HealthReason, "by order") // the agent has obeyed
	})
	r.c.Agents[0].Kill()
	if err := r.c.Agents[0].Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	if d := r.devices(0)[hole]; d.Healthy || !strings.Contains(d.HealthReason, "by order") {
		t.Errorf("the new agent has forgotten: %v", d)
	}
	r.order(0, "return", hole)
	after := r.awaitTasks(job, "whole again", func([]*pb.Task) bool { return true })
	moved := 0
	for i := range after {
		if after[i].Last.Id != before[i].Last.Id {
			moved++
			if after[i].Attempts != 2 {
				t.Errorf("task %d made %d attempts", i, after[i].Attempts)
			}
		}
	}
	if moved != 1 {
		t.Errorf("%d tasks were moved, want the one on %s", moved, hole)
	}
	if err := os.WriteFile(goFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pinned runs a job of one task on one device, and waits until it has ended as wanted.
func (r *rig) pinned(name, node, dev, script string, want pb.JobState) {
	r.t.Helper()
	is := func(attribute, value string) *pb.Constraint {
		return &pb.Constraint{Attribute: attribute, Operator: pb.Operator_OPERATOR_IN, Values: []*pb.AttributeValue{{Value: &pb.AttributeValue_Text{Text: value}}}}
	}
	s, err := r.cl.Jobs.SubmitJob(r.ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Owner: "e2e", Spec: &pb.JobSpec{
		Name: name, Groups: []*pb.TaskGroup{{
			Name: "main", Indices: []*pb.IndexRange{{Step: 1}}, Constraints: []*pb.Constraint{is("node", node)},
			Variants: []*pb.Variant{{
				Name: "default", Command: []string{"/bin/sh", "-c", script},
				Resources: &pb.Resources{CpuMilli: 50, MemoryMib: 32, Devices: []*pb.DeviceRequest{{
					Kind: "gpu", Count: 1, Thousandths: 1000, Constraints: []*pb.Constraint{is("device", dev)},
				}}},
			}},
		}},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := harness.Eventually(r.ctx, func() (bool, error) {
		j, err := r.cl.Jobs.GetJob(r.ctx, &pb.GetJobRequest{JobId: s.JobId})
		return err == nil && j.State == want, err
	}); err != nil {
		r.t.Fatalf("%s never became %v: %v", s.JobId, want, err)
	}
}

// order has the command line give an order about a device.
func (r *rig) order(agent int, verb, device string) {
	r.t.Helper()
	out, err := r.c.CLI(r.ctx, "node", "device", verb, agentName(agent), device, "--reason", "the test says so").CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s of %s: %v: %s", verb, device, err, out)
	}
}
