package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Node is one server's part in the consensus. All methods may be called from
// any goroutine, also after Shutdown.
type Node struct {
	cfg     Config
	raft    *raft.Raft
	store   *store
	peers   *peerTable
	applier *applier
	gauge   *appendGauge

	proposer   *proposer
	confirmer  *confirmer
	leadership *leadership

	// transferring is set while a hand-over that this package asked for runs.
	transferring atomic.Bool
	// refusedSince is when raft began to refuse work because of a hand-over, nil
	// if it does not.
	refusedSince atomic.Pointer[time.Time]
	// lastHandOver belongs to the duties goroutine.
	lastHandOver time.Time

	counters counters

	// closing is closed when Shutdown begins, gone when raft is down.
	closing chan struct{}
	gone    chan struct{}
	// addr is where the other servers reach this one.
	addr string
	// stopped is closed when Shutdown is complete; stopErr is set before that.
	stopped   chan struct{}
	stopErr   error
	closeOnce sync.Once

	// halted is closed when haltErr is set.
	halted   chan struct{}
	haltErr  atomic.Pointer[HaltedError]
	haltOnce sync.Once

	// workers end by themselves after closing, follower when gone is closed.
	workers, follower sync.WaitGroup
	// requests are the goroutines that wait for raft's answer to something.
	// beginMu orders their start against closing.
	requests sync.WaitGroup
	beginMu  sync.Mutex
}

// New opens the stores and the transport, bootstraps a new cluster if it is
// asked to, and starts raft. The state machine must be empty; it is restored
// from the newest snapshot before New returns and from the log after that.
//
// It refuses a data directory of another server, one that another process uses,
// and one that is damaged beyond what a crash explains.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg:     cfg,
		peers:   newPeerTable(),
		gauge:   &appendGauge{},
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
		stopped: make(chan struct{}),
		halted:  make(chan struct{}),
	}
	n.applier = &applier{machine: cfg.StateMachine, stop: n.halt}
	n.leadership = newLeadership(n)
	n.proposer = newProposer(n)
	n.confirmer = newConfirmer(n)
	if err := n.open(); err != nil {
		return nil, err
	}
	n.leadership.publish()
	n.follower.Go(n.leadership.run)
	n.workers.Go(n.proposer.run)
	n.workers.Go(n.confirmer.run)
	n.workers.Go(n.runDuties)
	return n, nil
}

// open brings raft up, and takes down again what it opened if that fails.
func (n *Node) open() (err error) {
	if n.store, err = openStore(&n.cfg); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.store.close())
		}
	}()
	logs := n.store.logs
	if n.cfg.wrapLogStore != nil {
		logs = n.cfg.wrapLogStore(logs)
	}
	inner, err := openTransport(&n.cfg)
	if err != nil {
		return err
	}
	transport := &peerTransport{Transport: inner, peers: n.peers}
	n.addr = string(transport.LocalAddr())
	defer func() {
		if err != nil {
			err = errors.Join(err, transport.Close())
		}
	}()
	rc := n.cfg.raftConfig(n.leadership.notify)
	if err := n.bootstrap(rc, logs, transport); err != nil {
		return err
	}
	n.raft, err = startRaft(rc, n.applier, &gaugedStore{LogStore: logs, gauge: n.gauge}, n.store, transport)
	return err
}

// startRaft turns the panics with which NewRaft meets a damaged log, or a log
// that does not reach back to the snapshot, into errors. At that point raft has
// started no goroutine and written nothing.
func startRaft(rc *raft.Config, fsm raft.FSM, logs raft.LogStore, s *store, transport raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("start raft: %v: %s", p, rejoinHint)
		}
	}()
	r, err = raft.NewRaft(rc, fsm, logs, s.stable, s.snapshots, transport)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w: %s", err, rejoinHint)
	}
	return r, nil
}

// bootstrap writes the first configuration into an empty store.
func (n *Node) bootstrap(rc *raft.Config, logs raft.LogStore, transport raft.Transport) error {
	if !n.cfg.Bootstrap {
		return nil
	}
	initial := n.cfg.InitialServers
	if len(initial) == 0 {
		initial = []Server{{ID: n.cfg.ServerID, Addr: string(transport.LocalAddr()), Voter: true}}
	}
	var configuration raft.Configuration
	for _, s := range initial {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		configuration.Servers = append(configuration.Servers, raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Addr), Suffrage: suffrage})
	}
	err := raft.BootstrapCluster(rc, logs, n.store.stable, n.store.snapshots, transport, configuration)
	if errors.Is(err, raft.ErrCantBootstrap) {
		n.cfg.Logger.Info("this server already belongs to a cluster, not starting a new one")
		return nil
	}
	if err != nil {
		return fmt.Errorf("start a new cluster: %w", err)
	}
	return nil
}

// Run waits until the context ends or the node halts, and shuts it down. It
// returns nil in the first case and an error that matches ErrHalted in the
// second; the process should then end and be started again by its supervisor.
func (n *Node) Run(ctx context.Context) error {
	var cause error
	select {
	case <-ctx.Done():
	case <-n.halted:
		cause = n.haltErr.Load()
	case <-n.closing:
	}
	return errors.Join(cause, n.Shutdown(context.WithoutCancel(ctx)))
}

// Shutdown refuses new requests, waits for those under way for at most
// Config.ShutdownGrace, stops raft and closes the stores. It does not hand
// leadership over: call TransferLeadership before to spare the others an
// election. It may be called more than once; every call waits for the end or
// for its context.
func (n *Node) Shutdown(ctx context.Context) error {
	n.closeOnce.Do(func() {
		n.beginMu.Lock()
		close(n.closing)
		n.beginMu.Unlock()
		go n.stop()
	})
	select {
	case <-n.stopped:
		return n.stopErr
	case <-ctx.Done():
		return fmt.Errorf("shutdown goes on in the background: %w", context.Cause(ctx))
	}
}

// stop takes the node down. raft never answers a request that is inside it when
// it stops, so what is under way is awaited first.
func (n *Node) stop() {
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		n.workers.Wait()
		n.requests.Wait()
	}()
	timer := time.NewTimer(n.cfg.ShutdownGrace)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
		n.cfg.Logger.Warn("requests were still under way at shutdown, their outcome is unknown", "waited", n.cfg.ShutdownGrace)
	}
	err := n.raft.Shutdown().Error()
	close(n.gone)
	n.follower.Wait()
	<-quiet
	n.stopErr = errors.Join(err, n.store.close())
	close(n.stopped)
}

// await waits for a raft future. A future that raft forgot when it stopped is
// given up.
func (n *Node) await(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-n.gone:
	}
	select {
	case err := <-done:
		return err
	default:
		return raft.ErrRaftShutdown
	}
}

// begin runs f on a goroutine that Shutdown waits for, unless the node is
// closing already.
func (n *Node) begin(f func()) error {
	n.beginMu.Lock()
	defer n.beginMu.Unlock()
	if err := n.unable(); err != nil {
		return err
	}
	n.requests.Go(f)
	return nil
}

// unable returns why the node can do nothing any more, nil if it can.
func (n *Node) unable() error {
	if err := n.haltErr.Load(); err != nil {
		return err
	}
	select {
	case <-n.closing:
		return ErrShutdown
	default:
		return nil
	}
}

// halt stops all service. The node still has to be shut down.
func (n *Node) halt(err *HaltedError) {
	n.haltOnce.Do(func() {
		n.haltErr.Store(err)
		n.cfg.Logger.Error("halted", "error", err)
		close(n.halted)
	})
}

// Snapshot makes raft write a snapshot now and opens it. The caller closes the
// reader. It is for backups; raft takes its own when they are due.
func (n *Node) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	var f raft.SnapshotFuture
	done := make(chan error, 1)
	if err := n.begin(func() {
		f = n.raft.Snapshot()
		done <- n.await(f)
	}); err != nil {
		return nil, err
	}
	select {
	case err := <-done:
		if err != nil {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	_, r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open the snapshot: %w", err)
	}
	return r, nil
}

// Addr returns the address at which the other servers reach this one's raft.
func (n *Node) Addr() string { return n.addr }

// AppliedIndex returns the index of the last log entry in the state machine.
// Entries of raft's own, such as changes of membership, do not count.
func (n *Node) AppliedIndex() uint64 { return n.applier.lastApplied() }

// wake signals a channel of capacity 1 without blocking.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
