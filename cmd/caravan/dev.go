package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"caravan/agent"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/agent/shim"
	"caravan/agent/simfleet"
	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/simnodes"
	"caravan/cmd/caravan/internal/version"
	"caravan/scheduler/consensus"
	"caravan/scheduler/server"
)

// devTiming lets a cluster of one elect itself at once.
var devTiming = consensus.Timing{
	Heartbeat: 50 * time.Millisecond, Election: 50 * time.Millisecond,
	LeaderLease: 50 * time.Millisecond, Commit: 5 * time.Millisecond,
}

// devStopGrace is how long tasks may take to end when dev ends.
const devStopGrace = 5 * time.Second

// devFlags describe a cluster of one process.
type devFlags struct {
	daemonFlags
	tasks          taskFlags
	fleet, dataDir string
	port           int
	priceWeight    int64
}

func newDevCmd(s *session) *cobra.Command {
	f := &devFlags{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster in one process, to try things out",
		Long: `Run a server and an agent in one process, with all state in memory.

With --fleet it adds simulated nodes in the shape of cloud instance families.
Nothing runs on those: they take tasks of the sim driver alone and pretend.

  caravan dev
  caravan dev --fleet gn4=2,ga1=1,f1=1,c4=4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return f.run(ctx, s)
		},
	}
	fl := cmd.Flags()
	f.add(fl)
	fl.Lookup("log-level").DefValue = "warn"
	f.logLevel = "warn"
	fl.StringVar(&f.fleet, "fleet", "", "simulated nodes by family, e.g. gn4=2,ga1=1,f1=1,c4=4")
	fl.StringVar(&f.dataDir, "data-dir", "", "keep state and allocations here (default: forget all at the end)")
	// It is for trying things out, with one's own files.
	f.tasks.add(fl, exec.UserAgent, string(driver.IsolationHost))
	fl.IntVar(&f.port, "port", 7300, "port of the API on 127.0.0.1; 0 for any")
	addPriceWeight(fl, &f.priceWeight)
	return cmd
}

func (f *devFlags) run(ctx context.Context, s *session) (err error) {
	log, err := f.logger(s, "dev")
	if err != nil {
		return err
	}
	var nodes []*pb.NodeInfo
	if f.fleet != "" {
		if nodes, err = simnodes.Parse(f.fleet); err != nil {
			return &usageError{"--fleet: " + err.Error(), "see `caravan dev --help`"}
		}
	}
	dir, raftDir, cleanUp, err := f.directories()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", f.port))
	if err != nil {
		return fmt.Errorf("%w; is another `caravan dev` running? choose a --port", err)
	}
	d := &dev{flags: f, log: log, dir: dir, out: s, addr: l.Addr().String()}
	srv, err := server.New(server.Config{
		ID: "dev", Listener: l, Version: version.Version, Logger: log.Named("server"), PriceWeight: f.priceWeight,
		BlobDir: filepath.Join(dir, "blobs"),
		Raft:    consensus.Config{BindAddr: "127.0.0.1:0", Bootstrap: true, Timing: devTiming, DataDir: raftDir},
	})
	if err != nil {
		return err
	}
	return d.run(ctx, srv, nodes)
}

// directories returns where allocations live and where the log is kept ("" for
// memory), and what removes them at the end.
func (f *devFlags) directories() (dir, raftDir string, cleanUp func() error, err error) {
	if f.dataDir != "" {
		dir, err = filepath.Abs(f.dataDir)
		return dir, filepath.Join(dir, "server"), func() error { return nil }, err
	}
	dir, err = os.MkdirTemp("", "caravan-dev-")
	return dir, "", func() error {
		stopTasks(filepath.Join(dir, "agent", "allocs"))
		return os.RemoveAll(dir)
	}, err
}

// stopTasks ends what still runs: without its state, nobody would come back for it.
func stopTasks(allocs string) {
	entries, err := os.ReadDir(allocs)
	if err != nil {
		return // no task ever ran
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*devStopGrace)
	defer cancel()
	var wg sync.WaitGroup
	for _, e := range entries {
		h, err := shim.Attach(filepath.Join(allocs, e.Name()))
		if err != nil {
			continue
		}
		wg.Go(func() {
			if h.Stop(ctx, syscall.SIGTERM, devStopGrace) == nil {
				_, _ = h.Wait(ctx)
			}
		})
	}
	wg.Wait()
}

// dev is a running cluster of one.
type dev struct {
	flags *devFlags
	log   hclog.Logger
	out   *session
	dir   string
	addr  string
}

func (d *dev) run(ctx context.Context, srv *server.Server, nodes []*pb.NodeInfo) error {
	g, ctx := errgroup.WithContext(ctx)
	agentReady, fleetReady := make(chan struct{}), make(chan struct{})
	g.Go(func() error { return srv.Run(ctx) })
	cfg := agent.Config{
		DataDir: filepath.Join(d.dir, "agent"), Servers: []string{d.addr}, Name: "dev", Version: version.Version,
		CgroupParent: defaultCgroupParent, Logger: d.log.Named("agent"),
		Ready: func(agent.Node) { close(agentReady) },
	}
	d.flags.tasks.apply(&cfg)
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	g.Go(func() error { return a.Run(ctx) })
	if len(nodes) == 0 {
		close(fleetReady)
	} else {
		fleet, err := simfleet.New(simfleet.Config{
			Nodes: nodes, Servers: []string{d.addr}, Logger: d.log.Named("fleet"), Ready: func() { close(fleetReady) },
		})
		if err != nil {
			return err
		}
		g.Go(func() error { return fleet.Run(ctx) })
	}
	g.Go(func() error {
		for _, ready := range []chan struct{}{agentReady, fleetReady} {
			select {
			case <-ready:
			case <-ctx.Done():
				return nil
			}
		}
		d.greet(len(nodes))
		return d.flags.announce(d.addr)
	})
	return g.Wait()
}

func (d *dev) greet(simulated int) {
	fmt.Fprintf(d.out.out, "Caravan is ready at %s, with this host as node dev", d.addr)
	if simulated > 0 {
		fmt.Fprintf(d.out.out, " and %d simulated nodes", simulated)
	}
	fmt.Fprint(d.out.out, ".\n\n")
	if d.addr != defaultServer {
		fmt.Fprintf(d.out.out, "  export CARAVAN_SERVER=%s\n", d.addr)
	}
	fmt.Fprint(d.out.out, "  caravan run -- echo hello      run a command and follow it\n"+
		"  caravan node ls                what there is\n"+
		"  caravan ps                     what runs and what waits\n\nCtrl-C ends it.\n")
}
