package clienttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
)

// State is what a cluster begins with. It must not be changed afterwards.
type State struct {
	Jobs   []*pb.Job
	Tasks  []*pb.Task
	Nodes  []*pb.Node
	Queues []*pb.QueueStatus
	Events []*pb.Event
	// Logs holds chunks in the order they are sent.
	Logs         []*pb.LogChunk
	Explanations []*pb.Explanation
	DryRun       *pb.DryRunJobResponse
	Servers      *pb.Cluster
	// Warnings come with every submission.
	Warnings []string
}

// Cluster is the canned state with the services over it.
type Cluster struct {
	pb.UnimplementedJobServiceServer
	pb.UnimplementedNodeServiceServer
	pb.UnimplementedCatalogueServiceServer
	pb.UnimplementedQueueServiceServer
	pb.UnimplementedEventServiceServer
	pb.UnimplementedOperatorServiceServer

	mu      sync.Mutex // guards the rest
	state   State
	answers map[string]proto.Message // by request id
	applied map[string]int           // changes made, by method
	changed chan struct{}            // closed and replaced at each change
}

// NewCluster returns a cluster in a state.
func NewCluster(state State) *Cluster {
	return &Cluster{state: state, answers: map[string]proto.Message{}, applied: map[string]int{}, changed: make(chan struct{})}
}

func (c *Cluster) register(r grpc.ServiceRegistrar) {
	pb.RegisterJobServiceServer(r, c)
	pb.RegisterNodeServiceServer(r, c)
	pb.RegisterCatalogueServiceServer(r, c)
	pb.RegisterQueueServiceServer(r, c)
	pb.RegisterEventServiceServer(r, c)
	pb.RegisterOperatorServiceServer(r, c)
}

// Applied returns how often a method has changed the state, repetitions under
// one request id counting once.
func (c *Cluster) Applied(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applied[method]
}

// Job returns a job as it is now, or nil.
func (c *Cluster) Job(id string) *pb.Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, err := c.find(id)
	if err != nil {
		return nil
	}
	return proto.CloneOf(j)
}

// SetJob adds or replaces a job under the next revision, and wakes watchers.
func (c *Cluster) SetJob(j *pb.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(proto.CloneOf(j))
}

// SetTask adds or replaces a task.
func (c *Cluster) SetTask(t *pb.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Tasks = slices.DeleteFunc(slices.Clone(c.state.Tasks), func(o *pb.Task) bool {
		return o.JobId == t.JobId && o.Group == t.Group && o.Ordinal == t.Ordinal
	})
	c.state.Tasks = append(c.state.Tasks, proto.CloneOf(t))
	c.wake()
}

// Log appends log data of an allocation, as a chunk of its own.
func (c *Cluster) Log(allocation, stream, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var offset int64
	for _, o := range c.state.Logs {
		if o.AllocationId == allocation && o.Stream == stream {
			offset = o.Offset + int64(len(o.Data))
		}
	}
	c.state.Logs = append(slices.Clone(c.state.Logs), &pb.LogChunk{AllocationId: allocation, Stream: stream, Data: []byte(text), Offset: offset})
	c.wake()
}

func (c *Cluster) set(j *pb.Job) {
	j.Revision = 1
	kept := []*pb.Job{}
	for _, o := range c.state.Jobs {
		j.Revision = max(j.Revision, o.Revision+1)
		if o.Id != j.Id {
			kept = append(kept, o)
		}
	}
	c.state.Jobs = append(kept, j)
	c.wake()
}

func (c *Cluster) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns a channel that is closed at the next change.
func (c *Cluster) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// find finds a job by its id or by the number at its end.
func (c *Cluster) find(id string) (*pb.Job, error) {
	for _, j := range c.state.Jobs {
		if j.Id == id || strings.HasSuffix(j.Id, "-"+id) && !strings.Contains(id, "-") {
			return j, nil
		}
	}
	return nil, Refuse(codes.NotFound, "not-found", "no job "+id)
}

// once makes a change under a request id, or gives the answer it had.
func once[T proto.Message](c *Cluster, requestID, method string, change func() (T, error)) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none T
	if requestID == "" {
		return none, Refuse(codes.InvalidArgument, "invalid", method+" needs a request id")
	}
	if a, ok := c.answers[requestID]; ok {
		return a.(T), nil
	}
	a, err := change()
	if err != nil {
		return none, err
	}
	a = proto.Clone(a).(T)
	c.answers[requestID] = a
	c.applied[method]++
	return a, nil
}

// ListNodes returns all nodes.
func (c *Cluster) ListNodes(context.Context, *pb.ListNodesRequest) (*pb.ListNodesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &pb.ListNodesResponse{Nodes: c.state.Nodes}, nil
}

// GetNode returns one node.
func (c *Cluster) GetNode(_ context.Context, r *pb.GetNodeRequest) (*pb.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.node(r.Name)
}

func (c *Cluster) node(name string) (*pb.Node, error) {
	for _, n := range c.state.Nodes {
		if n.Info.GetName() == name {
			return n, nil
		}
	}
	return nil, Refuse(codes.NotFound, "not-found", "no node "+name)
}

// DrainNode sets a node's draining mark.
func (c *Cluster) DrainNode(_ context.Context, r *pb.DrainNodeRequest) (*pb.Node, error) {
	return once(c, r.RequestId, "DrainNode", func() (*pb.Node, error) {
		n, err := c.node(r.Name)
		if err != nil {
			return nil, err
		}
		changed := proto.CloneOf(n)
		changed.Draining = r.Drain
		c.state.Nodes = slices.Clone(c.state.Nodes)
		c.state.Nodes[slices.Index(c.state.Nodes, n)] = changed
		return changed, nil
	})
}

// OrderHealth takes a device out of service, or gives it back, as an agent would that obeys at once.
func (c *Cluster) OrderHealth(_ context.Context, r *pb.OrderHealthRequest) (*pb.Node, error) {
	return once(c, r.RequestId, "OrderHealth", func() (*pb.Node, error) {
		n, err := c.node(r.Node)
		if err != nil {
			return nil, err
		}
		changed := proto.CloneOf(n)
		i := slices.IndexFunc(changed.Info.Devices, func(d *pb.Device) bool { return d.Id == r.Device })
		if i < 0 {
			return nil, Refuse(codes.NotFound, "not-found", "no device "+r.Device)
		}
		d := changed.Info.Devices[i]
		d.Healthy, d.HealthReason = true, ""
		d.Health = &pb.Health{State: pb.HealthState_HEALTH_STATE_PROBATION}
		if r.Verb == pb.HealthVerb_HEALTH_VERB_QUARANTINE {
			d.Healthy, d.HealthReason = false, "quarantined: by order: "+r.Reason+" ("+r.By+")"
			d.Health.State = pb.HealthState_HEALTH_STATE_QUARANTINED
		}
		c.state.Nodes = slices.Clone(c.state.Nodes)
		c.state.Nodes[slices.Index(c.state.Nodes, n)] = changed
		return changed, nil
	})
}

// ListQueues returns all queues.
func (c *Cluster) ListQueues(context.Context, *pb.ListQueuesRequest) (*pb.ListQueuesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &pb.ListQueuesResponse{Queues: c.state.Queues}, nil
}

// PutQueue creates or replaces a queue.
func (c *Cluster) PutQueue(_ context.Context, r *pb.PutQueueRequest) (*pb.Queue, error) {
	return once(c, r.RequestId, "PutQueue", func() (*pb.Queue, error) {
		c.state.Queues = slices.DeleteFunc(slices.Clone(c.state.Queues), func(q *pb.QueueStatus) bool {
			return q.Queue.GetName() == r.Queue.GetName()
		})
		c.state.Queues = append(c.state.Queues, &pb.QueueStatus{Queue: r.Queue})
		return r.Queue, nil
	})
}

// StreamEvents sends the events there are; with follow it then waits.
func (c *Cluster) StreamEvents(r *pb.StreamEventsRequest, to grpc.ServerStreamingServer[pb.Event]) error {
	c.mu.Lock()
	events := c.state.Events
	c.mu.Unlock()
	for _, e := range events {
		if e.Index < r.FromIndex || r.JobId != "" && e.JobId != r.JobId {
			continue
		}
		if err := to.Send(e); err != nil {
			return err
		}
	}
	if !r.NoFollow {
		<-to.Context().Done()
		return to.Context().Err()
	}
	return nil
}

// GetCluster returns the servers.
func (c *Cluster) GetCluster(context.Context, *pb.GetClusterRequest) (*pb.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Servers == nil {
		return nil, Unavailable("the cluster has no leader")
	}
	return c.state.Servers, nil
}

// RemoveServer removes a server; it carries no request id.
func (c *Cluster) RemoveServer(_ context.Context, r *pb.RemoveServerRequest) (*pb.RemoveServerResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied["RemoveServer"]++
	servers := proto.CloneOf(c.state.Servers)
	before := len(servers.GetServers())
	if before > 0 {
		servers.Servers = slices.DeleteFunc(servers.Servers, func(s *pb.Server) bool { return s.Id == r.Id })
	}
	if len(servers.GetServers()) == before {
		return nil, Refuse(codes.NotFound, "not-found", fmt.Sprintf("no server %q", r.Id))
	}
	c.state.Servers = servers
	return &pb.RemoveServerResponse{}, nil
}
