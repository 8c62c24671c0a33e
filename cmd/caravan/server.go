package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"caravan/cmd/caravan/internal/version"
	"caravan/scheduler/consensus"
	"caravan/scheduler/core/blackhole"
	"caravan/scheduler/server"
)

// daemonFlags are what server, agent and dev have in common.
type daemonFlags struct {
	logLevel  string
	logJSON   bool
	readyFile string
}

func (d *daemonFlags) add(f *pflag.FlagSet) {
	f.StringVar(&d.logLevel, "log-level", "info", "trace, debug, info, warn or error")
	f.BoolVar(&d.logJSON, "log-json", false, "log one JSON object a line")
	f.StringVar(&d.readyFile, "ready-file", "", "write the API address to this file once ready")
}

func (d *daemonFlags) logger(s *session, name string) (hclog.Logger, error) {
	level := hclog.LevelFromString(d.logLevel)
	if level == hclog.NoLevel {
		return nil, &usageError{"no log level " + d.logLevel, "use trace, debug, info, warn or error"}
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level, Output: s.err, JSONFormat: d.logJSON}), nil
}

// announce writes the ready file in one step, so that nobody reads half of it.
func (d *daemonFlags) announce(addr string) error {
	if d.readyFile == "" {
		return nil
	}
	tmp := d.readyFile + ".tmp"
	if err := os.WriteFile(tmp, []byte(addr+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, d.readyFile)
}

// untilSignal returns a context that SIGTERM and Ctrl-C end.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// serverFlags describe one scheduler server.
type serverFlags struct {
	daemonFlags
	id, listen, advertise     string
	raftListen, raftAdvertise string
	dataDir, timing           string
	bootstrap                 bool
	join                      []string
	catalogue                 string
	lease, killGrace          time.Duration
	priceWeight               int64
	blackHole                 string
}

func newServerCmd(s *session) *cobra.Command {
	f := &serverFlags{}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a scheduler server",
		Long: `Run a scheduler server. Three or five of them replicate all state by raft.

  caravan server --id s1 --data-dir /var/lib/caravan/s1 --bootstrap       the first
  caravan server --id s2 --data-dir /var/lib/caravan/s2 --join HOST:7300  every further one`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return f.run(ctx, s)
		},
	}
	fl := cmd.Flags()
	f.add(fl)
	host, _ := os.Hostname()
	fl.StringVar(&f.id, "id", host, "this server's name, for all time")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7300", "address of the API (gRPC and HTTP/JSON)")
	fl.StringVar(&f.advertise, "advertise", "", "address others reach the API at (default: the listening address)")
	fl.StringVar(&f.raftListen, "raft-listen", "127.0.0.1:7301", "address of the replication between servers")
	fl.StringVar(&f.raftAdvertise, "raft-advertise", "", "address others reach the replication at (default: the listening address)")
	fl.StringVar(&f.dataDir, "data-dir", "/var/lib/caravan/server", "where the log and snapshots are kept")
	fl.BoolVar(&f.bootstrap, "bootstrap", false, "start a new cluster, if the data directory is empty")
	fl.StringArrayVar(&f.join, "join", nil, "API address of a server to join; repeat for several")
	fl.StringVar(&f.catalogue, "catalogue", "", "YAML file with further instance families, prices, power and sites; give all servers the same (see caravan families check)")
	fl.StringVar(&f.timing, "timing", "default", "raft's time-outs: default, or lan for servers in one room")
	fl.DurationVar(&f.lease, "lease", 15*time.Second, "how long agents may go on without an answer to a heartbeat")
	fl.StringVar(&f.blackHole, "black-hole", "jobs=3,of=4,fast=1m,within=30m", "a device or host where so many of the last different jobs failed, each as fast as this, is reported ill to its agent; off for never")
	fl.DurationVar(&f.killGrace, "kill-grace", 10*time.Second, "how long past its lease a node's tasks may take to die")
	addPriceWeight(fl, &f.priceWeight)
	return cmd
}

// addPriceWeight adds the flag that servers and dev share.
func addPriceWeight(fl *pflag.FlagSet, weight *int64) {
	fl.Int64Var(weight, "price-weight", 0,
		"seconds that an hour of work may take longer to save one unit of currency; 0 takes the fastest variant that fits")
}

func (f *serverFlags) run(ctx context.Context, s *session) error {
	log, err := f.logger(s, "server")
	if err != nil {
		return err
	}
	timing, err := timingByName(f.timing)
	if err != nil {
		return err
	}
	holes, err := blackhole.Parse(f.blackHole)
	if err != nil {
		return &usageError{"--black-hole: " + err.Error(), "see `caravan server --help`"}
	}
	if f.bootstrap && len(f.join) > 0 {
		return &usageError{"--bootstrap and --join contradict each other", "the first server bootstraps, every further one joins"}
	}
	catalogue, err := readCatalogue(f.catalogue)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Clean(f.dataDir), 0o700); err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	blobs, err := filepath.Abs(filepath.Join(f.dataDir, "blobs"))
	if err != nil {
		return err
	}
	srv, err := server.New(server.Config{
		ID: f.id, Listener: l, AdvertiseAPI: f.advertise, Join: f.join, Lease: f.lease, KillGrace: f.killGrace, BlackHole: holes,
		Version: version.Version, Logger: log, PriceWeight: f.priceWeight, Catalogue: catalogue, BlobDir: blobs,
		Raft: consensus.Config{
			BindAddr: f.raftListen, AdvertiseAddr: f.raftAdvertise, DataDir: f.dataDir, Bootstrap: f.bootstrap, Timing: timing,
		},
	})
	if err != nil {
		return err
	}
	if err := f.announce(srv.Addr()); err != nil {
		return err
	}
	log.Info("serving", "api", srv.Addr())
	return srv.Run(ctx)
}

func timingByName(name string) (consensus.Timing, error) {
	switch name {
	case "default":
		return consensus.DefaultTiming(), nil
	case "lan":
		return consensus.LANTiming(), nil
	}
	return consensus.Timing{}, &usageError{"no timing " + name, "use default or lan"}
}
