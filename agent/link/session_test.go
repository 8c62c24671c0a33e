package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/agent/link"
	"caravan/agent/link/linktest"
	pb "caravan/api/caravanv1"
)

const (
	node      = "n1"
	running   = pb.AllocationState_ALLOCATION_STATE_RUNNING
	succeeded = pb.AllocationState_ALLOCATION_STATE_SUCCEEDED
)

// journal is a handler that writes down what it is told.
type journal struct {
	pass func(time.Duration) // lets the bubble's time pass

	mu    sync.Mutex // guards what follows
	lines []string
	acked map[string]pb.AllocationState
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) Update(_ context.Context, u *pb.AllocationUpdate) {
	var ids []string
	for _, a := range u.Assignments {
		ids = append(ids, a.Allocation.Id)
	}
	kind := "change"
	if u.Full {
		kind = "full"
	}
	j.note("%s %v", kind, ids)
}

func (j *journal) Lease(held bool) { j.note("lease %v", held) }
func (j *journal) Registered()     { j.note("registered") }

func (j *journal) Acknowledged(reports []*pb.AllocationReport) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range reports {
		j.acked[r.AllocationId] = r.State
	}
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) state(id string) pb.AllocationState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.acked[id]
}

// clock is package time, which synctest fakes.
type clock struct{ began time.Time }

func (c clock) Now() time.Duration { return time.Since(c.began) }

// bubble runs a session against servers in fake time.
func bubble(t *testing.T, test func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal)) {
	synctest.Test(t, func(t *testing.T) {
		servers := linktest.New()
		options, stopServers := servers.InMemory()
		// Several addresses, all of which lead to the same servers: leaving one costs no more
		// than a new connection.
		list, err := link.NewServers([]string{"passthrough:///s1", "passthrough:///s2", "passthrough:///s3"}, options...)
		if err != nil {
			t.Fatal(err)
		}
		j := &journal{pass: func(d time.Duration) { time.Sleep(d) }, acked: make(map[string]pb.AllocationState)}
		s, err := link.New(link.Config{
			Servers: list, Handler: j, Clock: clock{time.Now()}, Logger: hclog.NewNullLogger(),
			Info: func() *pb.NodeInfo { return &pb.NodeInfo{Name: node, BootId: "boot"} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		test(t, servers, s, j)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the session ended with %v", err)
		}
		if err := list.Close(); err != nil {
			t.Error(err)
		}
		stopServers()
		synctest.Wait()
	})
}

func assignment(id string) *pb.Assignment {
	return &pb.Assignment{Allocation: &pb.Allocation{Id: id, Node: node}}
}

func wantLines(t *testing.T, j *journal, want ...string) {
	t.Helper()
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestANodeRegistersGetsItsLeaseAndItsList(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		servers.Assign(assignment("a"))
		j.pass(time.Minute)
		lines := j.all()
		slices.Sort(lines) // the lease and the list are told by different goroutines
		if got := strings.Join(lines, ", "); got != "change [a], full [], lease true, registered" {
			t.Errorf("told %s", got)
		}
		if !s.LeaseHeld() {
			t.Error("no lease after a minute")
		}
		// One heartbeat at once and one every 5 s.
		if n := servers.Heartbeats(node); n < 12 || n > 14 {
			t.Errorf("%d heartbeats in 61 s", n)
		}
	})
}

func TestTheLeaseEndsWithoutServersAndComesBackWithThem(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Minute)
		servers.SetFault(func(context.Context, string, any) error { return linktest.Unavailable() }, nil)
		j.pass(9 * time.Second)
		if !s.LeaseHeld() {
			t.Error("the lease ended 9 s after the last heartbeat, at most 5 s before")
		}
		j.pass(7 * time.Second)
		if s.LeaseHeld() {
			t.Error("the lease is held 16 s after the servers went away")
		}
		servers.SetFault(nil, nil)
		j.pass(5 * time.Second)
		if !s.LeaseHeld() {
			t.Error("no lease 5 s after the servers came back")
		}
		if servers.Registrations(node) != 1 {
			t.Error("it registered again, which nobody asked for")
		}
	})
}

func TestANewLeaderWithinTheLeaseIsNotNoticed(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		servers.SetFault(func(context.Context, string, any) error { return linktest.Unavailable() }, nil)
		s.Report(&pb.AllocationReport{AllocationId: "a", State: succeeded})
		j.pass(4 * time.Second)
		servers.SetFault(nil, nil)
		servers.Assign(assignment("b"))
		j.pass(6 * time.Second)
		if j.state("a") != succeeded {
			t.Error("the report did not arrive at the new leader")
		}
		lines := j.all()
		if slices.Contains(lines, "lease false") {
			t.Errorf("the lease was lost: %v", lines)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, "[b]") }) {
			t.Errorf("the new allocation was not told: %v", lines)
		}
	})
}

// A server that takes calls and never answers is left for another in time for the lease.
func TestASilentServerIsLeftBeforeTheLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Minute)
		var mu sync.Mutex
		silent := 0
		servers.SetFault(func(ctx context.Context, method string, _ any) error {
			mu.Lock()
			first := silent < 2
			silent++
			mu.Unlock()
			if first {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, nil)
		j.pass(time.Minute)
		if slices.Contains(j.all(), "lease false") {
			t.Errorf("the lease was lost: %v", j.all())
		}
	})
}

// Answers that take long do not make a lease longer.
func TestASlowAnswerDoesNotStretchTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		var mu sync.Mutex
		var arrived time.Time
		heartbeats := 0
		servers.SetFault(func(_ context.Context, method string, _ any) error {
			mu.Lock()
			defer mu.Unlock()
			if method != "Heartbeat" {
				return nil
			}
			if heartbeats++; heartbeats > 3 {
				return linktest.Unavailable()
			}
			arrived = time.Now()
			return nil
		}, func(_ context.Context, method string, _ any) error {
			if method == "Heartbeat" {
				j.pass(1500 * time.Millisecond)
			}
			return nil
		})
		j.pass(25 * time.Second)
		mu.Lock()
		end := arrived.Add(15 * time.Second)
		mu.Unlock()
		j.pass(time.Until(end) - time.Millisecond)
		if !s.LeaseHeld() {
			t.Error("the lease ended early")
		}
		j.pass(time.Millisecond)
		if s.LeaseHeld() {
			t.Error("the lease is held 15 s after the last heartbeat was sent")
		}
	})
}

func TestAServerThatLagsBehindIsNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		servers.Assign(assignment("a"))
		j.pass(time.Second)
		before := len(j.all())
		servers.SetLag(2)
		servers.SetFault(nil, func(_ context.Context, method string, _ any) error {
			if method == "WatchAllocations" {
				return linktest.Unavailable() // cut the stream at the next change
			}
			return nil
		})
		servers.Assign(assignment("b"))
		j.pass(20 * time.Second)
		if told := j.all()[before:]; len(told) != 0 {
			t.Errorf("told %v by a server that lags behind", told)
		}
		servers.SetLag(0)
		servers.SetFault(nil, nil)
		j.pass(10 * time.Second)
		if told := j.all()[before:]; !slices.Equal(told, []string{"full [a b]"}) {
			t.Errorf("told %v once it had caught up", told)
		}
	})
}

func TestALostNodeRegistersAgainAndReadsItsListAnew(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		servers.Assign(assignment("a"))
		j.pass(time.Second)
		servers.Lose(node)
		j.pass(10 * time.Second)
		if n := servers.Registrations(node); n != 2 {
			t.Errorf("%d registrations", n)
		}
		lines := j.all()
		again := slices.Index(lines[1:], "registered") + 1
		if again == 0 || !slices.Equal(lines[again:], []string{"registered", "full []"}) {
			t.Errorf("told %v", lines)
		}
	})
}

func TestReportsAreBatchedButTheFirstGoesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second)
		s.Report(&pb.AllocationReport{AllocationId: "first", State: running})
		j.pass(time.Millisecond)
		if j.state("first") != running {
			t.Error("the first report waited")
		}
		for i := range 500 {
			s.Report(&pb.AllocationReport{AllocationId: fmt.Sprint(i), State: running})
			j.pass(time.Millisecond)
		}
		j.pass(time.Second)
		// 500 reports over 500 ms at one call per 5 ms.
		if n := len(servers.Requests()); n > 102 {
			t.Errorf("%d calls", n)
		}
		if j.state("499") != running {
			t.Error("the last report is not acknowledged")
		}
	})
}

// Any call may be lost on its way there or back, for an hour. In the end every report is
// booked, in order and once for each request id, and every assignment was told.
func TestNothingIsLostOnABadNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, servers *linktest.Server, s *link.Session, j *journal) {
		j.pass(time.Second) // registered: a lost answer to that would be booked twice, rightly
		bad := func(context.Context, string, any) error {
			if rand.N(10) < 3 {
				return status.Error(codes.Unavailable, "lost")
			}
			return nil
		}
		servers.SetFault(bad, bad)
		for i := range 300 {
			id := fmt.Sprint(i)
			servers.Assign(assignment(id))
			s.Report(&pb.AllocationReport{AllocationId: id, State: running})
			j.pass(rand.N(10 * time.Second))
			s.Report(&pb.AllocationReport{AllocationId: id, State: succeeded})
			j.pass(rand.N(4 * time.Second))
		}
		servers.SetFault(nil, nil)
		j.pass(time.Minute)
		told := strings.Join(j.all(), "\n")
		for i := range 300 {
			id := fmt.Sprint(i)
			if j.state(id) != succeeded || servers.State(node, id) != succeeded {
				t.Errorf("%s: acknowledged %v, booked %v", id, j.state(id), servers.State(node, id))
			}
			if n := len(servers.Reports(node, id)); n > 2 {
				t.Errorf("%s: %d reports booked of 2", id, n)
			}
		}
		if !strings.Contains(told, "299") {
			t.Error("the last assignment was never told")
		}
		if servers.Registrations(node) != 1 {
			t.Errorf("%d registrations were booked, though the node was never lost", servers.Registrations(node))
		}
	})
}

func TestARefusedFirstRegistrationEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := linktest.New()
		servers.SetFault(func(context.Context, string, any) error {
			return status.Error(codes.InvalidArgument, "node name is not valid")
		}, nil)
		options, stop := servers.InMemory()
		defer stop()
		list, err := link.NewServers([]string{"passthrough:///s1"}, options...)
		if err != nil {
			t.Fatal(err)
		}
		defer list.Close()
		s, err := link.New(link.Config{
			Servers: list, Handler: &journal{}, Clock: clock{time.Now()}, Logger: hclog.NewNullLogger(),
			Info: func() *pb.NodeInfo { return &pb.NodeInfo{Name: "Bad Name"} },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "node name is not valid") {
			t.Errorf("ended with %v", err)
		}
	})
}
