package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"caravan/agent/cpus"
	"caravan/agent/driver"
	"caravan/agent/driver/container"
	"caravan/agent/driver/exec"
	"caravan/agent/driver/sim"
	"caravan/agent/fingerprint"
	"caravan/agent/lease"
	"caravan/agent/link"
	"caravan/agent/runner"
	"caravan/agent/shim"
	"caravan/agent/steps"
	"caravan/agent/tasks"
	"caravan/agent/workspace"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// How long, and how often, a starting agent tries to lock its data directory.
const (
	lockPatience = 2 * time.Second
	lockPause    = 10 * time.Millisecond
)

// allocsDir holds the allocations within the data directory. Its name is short because the
// shims' sockets lie below it.
const allocsDir = "allocs"

// workspacesDir caches the working directories that were sent along with jobs.
const workspacesDir = "workspaces"

// Agent is one host's agent.
type Agent struct{ cfg Config }

// New checks the configuration; it touches nothing.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg}, nil
}

// Run serves until ctx ends, then returns nil; tasks live on. It returns early with an error
// when the host cannot be used or the servers refuse the node. All goroutines have ended
// when it returns. Run may be called once.
func (a *Agent) Run(ctx context.Context) error {
	lock, err := a.lockDataDir()
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := net.Listen("tcp", a.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", a.cfg.Listen, err)
	}
	defer listener.Close()
	address, err := a.address(listener)
	if err != nil {
		return err
	}
	processes, err := a.processes()
	if err != nil {
		return err
	}
	defer processes.Close()
	containers := a.containers(processes)
	info, err := a.fingerprint(ctx, address, processes)
	if err != nil {
		return err
	}
	var run *runner.Runner // set before it starts anything, and so before anything is evicted
	devices, err := a.newDevices(info, func(id string, fault *driver.Fault) { run.Evict(id, fault) })
	if err != nil {
		return err
	}
	watch := &containerWatch{driver: containers, node: devices, log: a.cfg.Logger}
	watch.look(ctx)
	servers, err := link.NewServers(a.cfg.Servers, a.cfg.DialOptions...)
	if err != nil {
		return err
	}
	defer servers.Close()
	var session *link.Session // set before the runner runs, and so before it reports
	adopted := make(chan struct{})
	book, err := a.processors(func(id string, p cpus.Pin) { run.Move(id, p) })
	if err != nil {
		return err
	}
	workspaces, err := workspace.New(workspace.Config{
		Dir: filepath.Join(a.cfg.DataDir, workspacesDir),
		Fetch: func(ctx context.Context, digest string) (io.ReadCloser, error) {
			return link.Blob(ctx, servers, digest)
		},
	})
	if err != nil {
		return err
	}
	term, err := lease.NewWriter(a.leaseFile())
	if err != nil {
		return err
	}
	defer term.Close()
	doors, err := a.steps(listener)
	if err != nil {
		return err
	}
	defer doors.Shut()
	run, err = a.newRunner(devices, book, processes, containers, runner.Config{
		Report: func(r *pb.AllocationReport) { session.Report(r) }, Ready: func() { close(adopted) },
		LeaseHeld: func() bool { return session.LeaseHeld() }, LeaseWait: a.leaseLeft(),
		Workspaces: workspaces, Steps: doors,
	})
	if err != nil {
		return err
	}
	if session, err = a.newSession(servers, devices, run, term); err != nil {
		return err
	}
	return a.serve(ctx, listener, devices, watch, run, doors, session, adopted)
}

// newRunner makes what runs the allocations; what ties it to the session is in cfg already.
func (a *Agent) newRunner(devices *devices, book *cpus.Book, processes *exec.Driver, containers *container.Driver, cfg runner.Config) (*runner.Runner, error) {
	open, err := openDevices(a.cfg.OpenDevices)
	if err != nil {
		return nil, err
	}
	cfg.Dir = filepath.Join(a.cfg.DataDir, allocsDir)
	cfg.Drivers = map[string]driver.Driver{exec.Name: processes, sim.Name: sim.New()}
	if containers != nil {
		cfg.Drivers[container.Name] = containers
	}
	cfg.Devices, cfg.CPUs, cfg.OpenDevices, cfg.Limits = devices, book, open, a.limits(processes)
	cfg.OutputRoots, cfg.OutputsToDirOwner = a.cfg.OutputRoots, processes.OwnUsers()
	if cfg.Program, err = os.Executable(); err != nil {
		return nil, err
	}
	cfg.ServerList = strings.Join(a.cfg.Servers, ",")
	cfg.Launches, cfg.Publications, cfg.Retention = a.cfg.Launches, a.cfg.Publications, a.cfg.Retention
	cfg.Logger = a.cfg.Logger.Named("runner")
	return runner.New(cfg)
}

// steps makes the host of the doors through which batch scripts start steps.
func (a *Agent) steps(listener net.Listener) (*steps.Host, error) {
	options := a.cfg.DialOptions
	if len(options) == 0 {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	return steps.New(steps.Config{
		Self: listener.Addr().String(), Logger: a.cfg.Logger.Named("steps"),
		Dial: func(address string) (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///"+address, options...)
		},
	})
}

// newSession makes the link to the servers.
func (a *Agent) newSession(servers *link.Servers, devices *devices, run *runner.Runner, term *lease.Writer) (*link.Session, error) {
	node := Node{Name: devices.host.Name, Address: devices.host.Address}
	return link.New(link.Config{
		Note: func(t lease.Term) {
			if err := term.Renew(t); err != nil {
				a.cfg.Logger.Error("cannot pass the lease on: tasks that must not run twice will end with it", "error", err)
			}
		},
		Servers: servers, Info: devices.info, Changed: devices.changed, Logger: a.cfg.Logger.Named("link"),
		Handler: &handler{Runner: run, obey: devices.Obey, ready: func() {
			a.cfg.Logger.Info("registered", "node", node.Name, "address", node.Address)
			if a.cfg.Ready != nil {
				a.cfg.Ready(node)
			}
		}},
	})
}

// serve runs the parts until ctx ends.
func (a *Agent) serve(ctx context.Context, listener net.Listener, devices *devices, watch *containerWatch, run *runner.Runner, doors *steps.Host, session *link.Session, adopted <-chan struct{}) error {
	service, err := tasks.New(tasks.Config{Source: source{run}, Steps: doors, Programmer: programmer{devices.Manager}, Logger: a.cfg.Logger.Named("tasks")})
	if err != nil {
		return err
	}
	server := grpc.NewServer(a.cfg.ServerOptions...)
	pb.RegisterTaskServiceServer(server, service)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return devices.Run(ctx) })
	g.Go(func() error { return watch.run(ctx) })
	g.Go(func() error { return run.Run(ctx) })
	g.Go(func() error {
		select {
		case <-adopted:
			devices.await(ctx)
			return session.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error { return server.Serve(listener) })
	g.Go(func() error {
		<-ctx.Done()
		stopServer(server, a.cfg.StopTimeout)
		return nil
	})
	return g.Wait()
}

// leaseFile is where shims find the node's lease.
func (a *Agent) leaseFile() string { return filepath.Join(a.cfg.DataDir, "lease") }

// leaseLeft is how long the lease of an earlier agent still lasts; the shims of what it left
// count on it too. 0 when that is not known.
func (a *Agent) leaseLeft() time.Duration {
	t, err := lease.Read(a.leaseFile())
	if err != nil {
		return 0
	}
	return max(t.Until-(lease.BootClock{}).Now(), time.Millisecond)
}

// stopServer lets calls end for a while and then ends them.
func stopServer(s *grpc.Server, timeout time.Duration) {
	force := time.AfterFunc(timeout, s.Stop)
	defer force.Stop()
	s.GracefulStop()
}

// processes makes the driver for real processes, with limits if the host can enforce them.
func (a *Agent) processes() (*exec.Driver, error) {
	users, err := exec.ParseUsers(a.cfg.TaskUser, os.Geteuid() == 0)
	if err != nil {
		return nil, err
	}
	cfg := exec.Config{Users: users, Config: shim.Config{
		Command: a.cfg.ShimCommand, CgroupParent: a.cfg.CgroupParent, DeviceWall: !a.cfg.NoDeviceWall,
		Isolation: a.cfg.Isolation, Lease: a.leaseFile(), Hide: []string{a.cfg.DataDir}, Share: a.cfg.Share, ScratchBytes: a.cfg.ScratchMiB << 20,
		Spares: a.cfg.SpareShims, Logger: a.cfg.Logger.Named("shim"),
	}}
	d, err := exec.New(cfg)
	switch {
	case err != nil || d.Capabilities().Limits:
		return d, err
	case a.cfg.RequireLimits:
		return nil, fmt.Errorf("limits are required and control group %q cannot be made (run as root with cgroups mounted, or do not require limits)", cfg.CgroupParent)
	case cfg.CgroupParent == "":
		return d, nil
	}
	d.Close()
	a.cfg.Logger.Warn("control groups cannot be made here: tasks run WITHOUT limits", "parent", cfg.CgroupParent)
	cfg.CgroupParent = ""
	return exec.New(cfg)
}

// limits names what enforces the limits of tasks: v1, v2 or none.
func (a *Agent) limits(d *exec.Driver) string {
	if !d.Capabilities().Limits {
		return "none"
	}
	return fingerprint.CgroupVersion(a.cfg.HostRoot)
}

// isolation is how far tasks are shut off at least.
func (a *Agent) isolation(d *exec.Driver) driver.Isolation {
	if !d.Capabilities().Sandbox {
		return driver.IsolationHost
	}
	return a.cfg.Isolation
}

// fingerprint looks at the host and adds what only the agent knows.
func (a *Agent) fingerprint(ctx context.Context, address string, processes *exec.Driver) (*pb.NodeInfo, error) {
	wall := "none"
	if processes.Capabilities().Devices {
		wall = "cgroup"
	}
	attributes := map[string]model.Attribute{
		"limits": model.Text(a.limits(processes)), "device_wall": model.Text(wall), "isolation": model.Text(string(a.isolation(processes))), "driver." + exec.Name: model.Text("true"),
	}
	maps.Copy(attributes, a.cfg.Attributes)
	info, err := fingerprint.Take(ctx, fingerprint.Config{
		Root: a.cfg.HostRoot, DataDir: a.cfg.DataDir, Name: a.cfg.Name,
		InstanceType: a.cfg.InstanceType, Family: a.cfg.Family, Zone: a.cfg.Zone, Rack: a.cfg.Rack,
		Reserved: a.cfg.Reserved, Attributes: attributes, Version: a.cfg.Version,
		PriceMicroPerHour: a.cfg.PriceMicroPerHour, Devices: a.cfg.Devices,
	})
	if err != nil {
		return nil, fmt.Errorf("look at the host: %w", err)
	}
	info.Address = address
	return info, nil
}

// lockDataDir makes the data directory and keeps a second agent out of it, which would start
// and stop the same tasks. The lock ends with the process (flock(2)).
func (a *Agent) lockDataDir() (*os.File, error) {
	if err := os.MkdirAll(a.cfg.DataDir, 0o711); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(a.cfg.DataDir, "agent.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// A killed agent's child that has not come as far as exec yet holds the lock for a moment.
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("data directory %s: %w (another agent runs on it; give each its own)", a.cfg.DataDir, err), f.Close())
		}
	}
}

// address is where servers reach this agent.
func (a *Agent) address(listener net.Listener) (string, error) {
	if a.cfg.Advertise != "" {
		return a.cfg.Advertise, nil
	}
	bound := listener.Addr().(*net.TCPAddr)
	if !bound.IP.IsUnspecified() {
		return bound.String(), nil
	}
	// No packet is sent: connecting a datagram socket only asks the routing table.
	probe, err := net.Dial("udp", a.cfg.Servers[0])
	if err != nil {
		return "", fmt.Errorf("which address leads to server %s: %w (set the address to advertise)", a.cfg.Servers[0], err)
	}
	defer probe.Close()
	bound.IP = probe.LocalAddr().(*net.UDPAddr).IP
	return bound.String(), nil
}

// handler is the runner as the link sees it.
type handler struct {
	*runner.Runner
	once  sync.Once
	ready func()
	// obey carries out orders about the health of devices.
	obey func([]*pb.HealthOrder)
}

var _ link.Handler = (*handler)(nil)

// Update obeys what the servers order, then passes the list on.
func (h *handler) Update(ctx context.Context, u *pb.AllocationUpdate) {
	h.obey(u.Orders)
	h.Runner.Update(ctx, u)
}

// Registered passes the word on and, the first time, tells that the agent is ready.
func (h *handler) Registered() {
	h.Runner.Registered()
	h.once.Do(h.ready)
}

// source is the runner as the task service sees it.
type source struct{ runner *runner.Runner }

var _ tasks.Source = source{}

// Usage tells what an allocation was given and uses.
func (s source) Usage(id string) (*pb.TaskUsage, bool) { return s.runner.Usage(id) }

// Find looks an allocation up.
func (s source) Find(id string) (tasks.Allocation, bool) {
	t, ok := s.runner.Find(id)
	if !ok {
		return tasks.Allocation{}, false
	}
	a := tasks.Allocation{LogDir: filepath.Join(t.Dir, shim.LogDir), Task: t.Task, Ended: t.Ended}
	if _, simulated := t.Task.(*sim.Task); simulated {
		a.Note = tasks.SimulatedNote
	}
	return a, true
}
