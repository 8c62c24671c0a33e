package server

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
)

func TestFamiliesAreListedWithWhatTheyHold(t *testing.T) {
	s := start(t, "s1")
	c := pb.NewCatalogueServiceClient(dial(t, s.Addr()))
	all, err := c.ListFamilies(within(t, 10*time.Second), &pb.ListFamiliesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all.Families {
		names = append(names, f.Name)
		if len(f.Types) == 0 || f.Class == "" {
			t.Errorf("family %s is %v", f.Name, f)
		}
	}
	for _, want := range []string{"n1", "n2", "xn4", "n4", "mn4", "sn1", "sn2", "n5", "c4", "cm4", "ce4", "c5", "se1", "i1", "d1", "gn4", "ga1", "f1"} {
		if !slices.Contains(names, want) {
			t.Errorf("family %s is not listed", want)
		}
	}
	if len(all.Parts) < 3 || !slices.IsSorted(names) {
		t.Errorf("%d parts; families in the order %v", len(all.Parts), names)
	}
	// One family comes with the parts that it has, and no others.
	one, err := c.ListFamilies(within(t, 10*time.Second), &pb.ListFamiliesRequest{Name: "ga1"})
	if err != nil || len(one.Families) != 1 || len(one.Parts) != 1 {
		t.Fatalf("ga1: %v, %v", one, err)
	}
	quarter, part := one.Families[0].Types[0], one.Parts[0]
	if quarter.Name != "ecs.ga1.xlarge" || quarter.Vcpu != 4 || quarter.MemoryMib != 10240 || len(quarter.Devices) != 1 || quarter.Devices[0].Thousandths != 250 {
		t.Errorf("the smallest GA1 is %v", quarter)
	}
	if part.Name != "S7150" || part.MemoryMib != 8192 || part.Fp64Gflops != 250 {
		t.Errorf("its part is %v", part)
	}
	_, err = c.ListFamilies(within(t, 10*time.Second), &pb.ListFamiliesRequest{Name: "gn44"})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "gn4") {
		t.Errorf("a family that is not there: %v", err)
	}
}

// programmer is an agent that loads images.
type programmer struct {
	pb.UnimplementedTaskServiceServer
	mu    sync.Mutex
	asked []*pb.ProgramDeviceRequest
}

func (p *programmer) ProgramTaskDevice(r *pb.ProgramDeviceRequest, to grpc.ServerStreamingServer[pb.ProgramDeviceProgress]) error {
	p.mu.Lock()
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	if r.Image == "rsa" {
		return status.Error(codes.NotFound, "there is no such image rsa")
	}
	for _, done := range []int32{0, 500} {
		if err := to.Send(&pb.ProgramDeviceProgress{DoneThousandths: done, Step: "writing"}); err != nil {
			return err
		}
	}
	return to.Send(&pb.ProgramDeviceProgress{DoneThousandths: 1000, Step: "loaded", Done: true, TookMs: 1234})
}

// serve starts the agent's service and returns its address.
func (p *programmer) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterTaskServiceServer(g, p)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestADeviceIsProgrammedByItsNodesAgent(t *testing.T) {
	s := start(t, "s1")
	conn := dial(t, s.Addr())
	agent := &programmer{}
	for name, address := range map[string]string{"n1": agent.serve(t), "n2": "127.0.0.1:1"} {
		info := node(name)
		info.Address = address
		info.Devices = []*pb.Device{{Id: "fpga-0", Kind: "fpga", Model: "A10GX1150", Thousandths: 1000, Healthy: true}}
		if _, err := pb.NewAgentServiceClient(conn).RegisterNode(within(t, 10*time.Second), &pb.RegisterNodeRequest{RequestId: "register-" + name, Info: info}); err != nil {
			t.Fatal(err)
		}
	}
	program := func(r *pb.ProgramDeviceRequest) (steps []*pb.ProgramDeviceProgress, err error) {
		stream, err := pb.NewNodeServiceClient(conn).ProgramDevice(within(t, 10*time.Second), r)
		for err == nil {
			var p *pb.ProgramDeviceProgress
			if p, err = stream.Recv(); err == nil {
				steps = append(steps, p)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return steps, err
	}
	ask := &pb.ProgramDeviceRequest{Node: "n1", DeviceId: "fpga-0", Image: "aes", TimeoutMs: 60_000}
	steps, err := program(ask)
	if err != nil || len(steps) != 3 || steps[1].DoneThousandths != 500 || !steps[2].Done || steps[2].TookMs != 1234 {
		t.Errorf("it was told %v, %v", steps, err)
	}
	if len(agent.asked) != 1 || !proto.Equal(agent.asked[0], ask) {
		t.Errorf("the agent was asked %v, want %v", agent.asked, ask)
	}
	for name, tc := range map[string]struct {
		r    *pb.ProgramDeviceRequest
		code codes.Code
		says string
	}{
		"unknown node":   {&pb.ProgramDeviceRequest{Node: "n9", DeviceId: "fpga-0", Image: "aes"}, codes.NotFound, "n9"},
		"unknown device": {&pb.ProgramDeviceRequest{Node: "n1", DeviceId: "fpga-7", Image: "aes"}, codes.NotFound, "fpga-7 on n1"},
		"unknown image":  {&pb.ProgramDeviceRequest{Node: "n1", DeviceId: "fpga-0", Image: "rsa"}, codes.NotFound, "no such image rsa"},
		"silent agent":   {&pb.ProgramDeviceRequest{Node: "n2", DeviceId: "fpga-0", Image: "aes"}, codes.Unavailable, "n2"},
	} {
		if steps, err := program(tc.r); status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.says) || len(steps) != 0 {
			t.Errorf("%s: %v, %v", name, steps, err)
		}
	}
}
