package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/client/clienttest"
)

// impatient retries as often as it is told, without making tests wait.
func impatient(attempts int) client.Retry {
	return client.Retry{Attempts: attempts, First: time.Millisecond, Max: 2 * time.Millisecond}
}

// serve starts one server per address on the same cluster.
func serve(t *testing.T, c *clienttest.Cluster, addresses ...string) (*clienttest.Network, []*clienttest.Server) {
	t.Helper()
	network := clienttest.NewNetwork()
	var servers []*clienttest.Server
	for _, a := range addresses {
		s := network.Serve(a, c)
		t.Cleanup(s.Stop)
		servers = append(servers, s)
	}
	return network, servers
}

func connect(t *testing.T, n *clienttest.Network, attempts int, addresses ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		Addresses: addresses, Retry: impatient(attempts), AttemptTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{n.Dial()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func submit(c *client.Client) (string, error) {
	r, err := c.Jobs.SubmitJob(context.Background(), &pb.SubmitJobRequest{Spec: &pb.JobSpec{Name: "ladder"}})
	return r.GetJobId(), err
}

func TestTemporaryRefusalsAreRetried(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
	}{
		{"unavailable", clienttest.Unavailable("starting")},
		{"not leader", clienttest.Refuse(codes.Unavailable, "not-leader", "an election is under way")},
		{"ambiguous", clienttest.Refuse(codes.Aborted, "ambiguous", "leadership was lost")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster := clienttest.NewCluster(clienttest.State{})
			network, servers := serve(t, cluster, "a:1")
			servers[0].Fail("SubmitJob", 3, tc.err)
			id, err := submit(connect(t, network, 4, "a:1"))
			if err != nil || id != "ladder-1" {
				t.Fatalf("got %q, %v", id, err)
			}
			if n := servers[0].Calls("SubmitJob"); n != 4 {
				t.Errorf("%d calls, want 4", n)
			}
		})
	}
}

func TestRetriesAreBounded(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{})
	network, servers := serve(t, cluster, "a:1")
	servers[0].Fail("SubmitJob", 100, clienttest.Unavailable("starting"))
	_, err := submit(connect(t, network, 3, "a:1"))
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Kind != client.KindUnavailable || e.Message != "starting" {
		t.Fatalf("got %v", err)
	}
	if n := servers[0].Calls("SubmitJob"); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestOtherRefusalsAreFinal(t *testing.T) {
	for _, tc := range []struct {
		code codes.Code
		kind string
		exit int
	}{
		{codes.InvalidArgument, "invalid", 2},
		{codes.NotFound, "not-found", 3},
		{codes.FailedPrecondition, "conflict", 4},
		{codes.ResourceExhausted, "overloaded", 5},
		{codes.PermissionDenied, "denied", 6},
		{codes.Internal, "internal", 1},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			cluster := clienttest.NewCluster(clienttest.State{})
			network, servers := serve(t, cluster, "a:1")
			servers[0].Fail("SubmitJob", 1, clienttest.Refuse(tc.code, tc.kind, "no"))
			_, err := submit(connect(t, network, 5, "a:1"))
			e, ok := errors.AsType[*client.Error](err)
			if !ok || string(e.Kind) != tc.kind || e.ExitCode() != tc.exit {
				t.Fatalf("got %#v", err)
			}
			if n := servers[0].Calls("SubmitJob"); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestFaultsOfAJobArriveWithTheirPaths(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{})
	network, servers := serve(t, cluster, "a:1")
	servers[0].Fail("SubmitJob", 1, clienttest.Refuse(codes.InvalidArgument, "invalid", "the job has faults",
		&pb.FieldViolation{Path: "groups[0].retries", Message: "must be at most 100", Hint: "write 100"}))
	_, err := submit(connect(t, network, 5, "a:1"))
	e, _ := errors.AsType[*client.Error](err)
	if e == nil || len(e.Fields) != 1 || e.Fields[0] != (client.FieldError{Path: "groups[0].retries", Message: "must be at most 100", Hint: "write 100"}) {
		t.Fatalf("got %#v", e)
	}
}

func TestALostAnswerDoesNotSubmitTwice(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{})
	network, servers := serve(t, cluster, "a:1", "b:1")
	servers[0].LoseAnswers("SubmitJob", 1)
	servers[1].LoseAnswers("SubmitJob", 1)
	id, err := submit(connect(t, network, 5, "a:1", "b:1"))
	if err != nil || id != "ladder-1" {
		t.Fatalf("got %q, %v", id, err)
	}
	if n := cluster.Applied("SubmitJob"); n != 1 {
		t.Errorf("%d jobs were submitted", n)
	}
	if n := servers[0].Calls("SubmitJob") + servers[1].Calls("SubmitJob"); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestACallWithoutRequestIDIsNotRepeated(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Servers: &pb.Cluster{Servers: []*pb.Server{{Id: "s1"}}}})
	network, servers := serve(t, cluster, "a:1")
	servers[0].LoseAnswers("RemoveServer", 1)
	_, err := connect(t, network, 5, "a:1").Operator.RemoveServer(context.Background(), &pb.RemoveServerRequest{Id: "s1"})
	if e, _ := errors.AsType[*client.Error](err); e == nil || e.Kind != client.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	if n := servers[0].Calls("RemoveServer"); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestAnotherServerTakesOver(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(*clienttest.Server)
	}{
		{"when the first is down", func(s *clienttest.Server) { s.Stop() }},
		{"when the first refuses", func(s *clienttest.Server) { s.Fail("GetCluster", 100, clienttest.Unavailable("no leader")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster := clienttest.NewCluster(clienttest.State{Servers: &pb.Cluster{Leader: "s2"}})
			network, servers := serve(t, cluster, "a:1", "b:1")
			tc.fail(servers[0])
			c := connect(t, network, 4, "a:1", "b:1")
			for range 3 {
				got, err := c.Operator.GetCluster(context.Background(), &pb.GetClusterRequest{})
				if err != nil || got.Leader != "s2" {
					t.Fatalf("got %v, %v", got, err)
				}
			}
			if n := servers[1].Calls("GetCluster"); n != 3 {
				t.Errorf("the second server was called %d times, want all 3", n)
			}
		})
	}
}

func TestAServerThatHangsIsLeft(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{Servers: &pb.Cluster{Leader: "s2"}})
	network, servers := serve(t, cluster, "a:1", "b:1")
	servers[0].Hang("GetCluster", 1)
	c, err := client.New(client.Config{
		Addresses: []string{"a:1", "b:1"}, Retry: impatient(20), AttemptTimeout: 200 * time.Millisecond,
		DialOptions: []grpc.DialOption{network.Dial()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Operator.GetCluster(context.Background(), &pb.GetClusterRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheCallersPatienceEndsACall(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{})
	network, servers := serve(t, cluster, "a:1")
	servers[0].Hang("GetCluster", 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("left")
	cancel(left)
	_, err := connect(t, network, 3, "a:1").Operator.GetCluster(ctx, &pb.GetClusterRequest{})
	if !errors.Is(err, left) {
		t.Fatalf("got %v", err)
	}
}

func TestRetriesAreReported(t *testing.T) {
	cluster := clienttest.NewCluster(clienttest.State{})
	network, servers := serve(t, cluster, "a:1")
	servers[0].Fail("SubmitJob", 2, clienttest.Unavailable("starting"))
	var heard []string
	c, err := client.New(client.Config{
		Addresses: []string{"a:1"}, Retry: impatient(3), DialOptions: []grpc.DialOption{network.Dial()},
		OnRetry: func(address string, e *client.Error) { heard = append(heard, address+" "+e.Message) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := submit(c); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 2 || heard[0] != "a:1 starting" {
		t.Errorf("heard %q", heard)
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  client.Config
		want string
	}{
		{"no address", client.Config{}, "no server address given; name at least one server as host:port"},
		{"no port", client.Config{Addresses: []string{"localhost"}}, `server address "localhost" is not host:port; write it like 127.0.0.1:7300`},
		{"no attempts", client.Config{Addresses: []string{"a:1"}, Retry: client.Retry{First: 1, Max: 1}}, "retry needs Attempts >= 1 and 0 < First <= Max"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := client.New(tc.cfg); err == nil || err.Error() != tc.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
