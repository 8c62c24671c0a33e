package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/client/clienttest"
)

func job(state pb.JobState) *pb.Job { return &pb.Job{Id: "ladder-1", State: state} }

func TestAWatchOutlivesItsServers(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Jobs: []*pb.Job{job(pb.JobState_JOB_STATE_PENDING)}})
	network, servers := serve(t, cluster, "a:1", "b:1")
	cluster.SetJob(job(pb.JobState_JOB_STATE_PENDING))
	for _, s := range servers {
		s.Cut("WatchJob", 2, 1)
	}
	var states []pb.JobState
	var last uint64
	for j, err := range connect(t, network, 3, "a:1", "b:1").WatchJob(context.Background(), "1") {
		if err != nil {
			t.Fatal(err)
		}
		if j.Revision <= last {
			t.Errorf("revision %d after %d", j.Revision, last)
		}
		last = j.Revision
		states = append(states, j.State)
		if j.State == pb.JobState_JOB_STATE_PENDING {
			cluster.SetJob(job(pb.JobState_JOB_STATE_RUNNING))
		} else if len(states) < 5 {
			cluster.SetJob(job(pb.JobState_JOB_STATE_RUNNING))
		} else {
			cluster.SetJob(job(pb.JobState_JOB_STATE_SUCCEEDED))
		}
	}
	if n := servers[0].Calls("WatchJob") + servers[1].Calls("WatchJob"); n != 5 {
		t.Errorf("%d streams, want 5: four cut short and one to the end", n)
	}
	if len(states) != 6 || states[5] != pb.JobState_JOB_STATE_SUCCEEDED {
		t.Errorf("got %v", states)
	}
}

func TestAWatchOfNothingEndsWithTheError(t *testing.T) {
	network, servers := serve(t, clienttest.NewCluster(clienttest.State{}), "a:1")
	var errs []error
	for j, err := range connect(t, network, 3, "a:1").WatchJob(context.Background(), "17") {
		if j != nil {
			t.Errorf("got %v", j)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 || errs[0] == nil || errs[0].Error() != "no job 17" {
		t.Errorf("got %v", errs)
	}
	if n := servers[0].Calls("WatchJob"); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestAStreamThatKeepsFailingIsGivenUp(t *testing.T) {
	network, servers := serve(t, clienttest.NewCluster(clienttest.State{}), "a:1")
	servers[0].Fail("WatchJob", 100, clienttest.Unavailable("starting"))
	var got error
	for _, err := range connect(t, network, 4, "a:1").WatchJob(context.Background(), "17") {
		got = err
	}
	if e, ok := errors.AsType[*client.Error](got); !ok || e.Kind != client.KindUnavailable {
		t.Errorf("got %v", got)
	}
	if n := servers[0].Calls("WatchJob"); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}

func TestAStreamThatOnlyRepeatsItselfIsGivenUp(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Jobs: []*pb.Job{job(pb.JobState_JOB_STATE_RUNNING)}})
	cluster.SetJob(job(pb.JobState_JOB_STATE_RUNNING))
	network, servers := serve(t, cluster, "a:1")
	servers[0].Cut("WatchJob", 100, 1)
	var jobs, errs int
	for j, err := range connect(t, network, 4, "a:1").WatchJob(context.Background(), "1") {
		if err != nil {
			errs++
		} else if j != nil {
			jobs++
		}
	}
	if jobs != 1 || errs != 1 {
		t.Errorf("got %d jobs and %d errors, want one of each", jobs, errs)
	}
	if n := servers[0].Calls("WatchJob"); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}

func TestLogsGoOnWhereTheyWereCut(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Jobs: []*pb.Job{job(pb.JobState_JOB_STATE_SUCCEEDED)}})
	want := map[string]string{}
	for i := range 40 {
		allocation, stream := fmt.Sprintf("ladder-1.encode.%d.1", i%3), []string{"stdout", "stderr"}[i%2]
		line := fmt.Sprintf("line %d of %s\n", i, allocation)
		cluster.Log(allocation, stream, line)
		want[allocation+" "+stream] += line
	}
	network, servers := serve(t, cluster, "a:1", "b:1")
	for cut := range 6 {
		servers[cut%2].Cut("ReadLogs", 1, 1+6*cut)
	}
	got := map[string]string{}
	for chunk, err := range connect(t, network, 3, "a:1", "b:1").ReadLogs(context.Background(), &pb.ReadLogsRequest{JobId: "1", Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		key := chunk.AllocationId + " " + chunk.Stream
		if int64(len(got[key])) != chunk.Offset {
			t.Errorf("%s: offset %d after %d bytes", key, chunk.Offset, len(got[key]))
		}
		got[key] += string(chunk.Data)
	}
	for key, text := range want {
		if got[key] != text {
			t.Errorf("%s: got %q, want %q", key, got[key], text)
		}
	}
	if n := servers[0].Calls("ReadLogs") + servers[1].Calls("ReadLogs"); n != 7 {
		t.Errorf("%d streams, want 7", n)
	}
}

func TestATailIsNotRepeatedAfterACut(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Jobs: []*pb.Job{job(pb.JobState_JOB_STATE_SUCCEEDED)}})
	for i := range 10 {
		cluster.Log("ladder-1.encode.0.1", "stdout", fmt.Sprintf("%d\n", i))
	}
	network, servers := serve(t, cluster, "a:1")
	servers[0].Cut("ReadLogs", 1, 2)
	var got strings.Builder
	for chunk, err := range connect(t, network, 3, "a:1").ReadLogs(context.Background(), &pb.ReadLogsRequest{JobId: "1", TailLines: 4}) {
		if err != nil {
			t.Fatal(err)
		}
		got.Write(chunk.Data)
	}
	if got.String() != "6\n7\n8\n9\n" {
		t.Errorf("got %q", got.String())
	}
}

func TestEventsOfOneIndexAreNeitherLostNorDoubled(t *testing.T) {
	var events []*pb.Event
	var want []string
	for i := range 12 {
		e := &pb.Event{Index: uint64(1 + i/4), Type: "task.placed", AllocationId: fmt.Sprint(i)}
		events = append(events, e)
		want = append(want, e.AllocationId)
	}
	network, servers := serve(t, clienttest.NewCluster(clienttest.State{Events: events}), "a:1")
	servers[0].Cut("StreamEvents", 1, 6)
	servers[0].Cut("StreamEvents", 1, 3)
	servers[0].Cut("StreamEvents", 1, 4)
	var got []string
	for e, err := range connect(t, network, 3, "a:1").StreamEvents(context.Background(), &pb.StreamEventsRequest{FromIndex: 1, NoFollow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.AllocationId)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestASequenceMayBeLeftEarly(t *testing.T) {
	events := []*pb.Event{{Index: 1}, {Index: 2}, {Index: 3}}
	network, _ := serve(t, clienttest.NewCluster(clienttest.State{Events: events}), "a:1")
	n := 0
	for _, err := range connect(t, network, 3, "a:1").StreamEvents(context.Background(), &pb.StreamEventsRequest{FromIndex: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("got %d events", n)
	}
}
