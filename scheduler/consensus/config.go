package consensus

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Timing holds raft's time-outs. They must be equal on all servers of a
// cluster.
type Timing struct {
	// Heartbeat is how long a follower waits for the leader before it asks for
	// an election; each wait is drawn between one and two times this value. The
	// leader sends ten heartbeats in this time.
	Heartbeat time.Duration
	// Election is how long a candidate waits for votes before it tries again. It
	// must not be below Heartbeat.
	Election time.Duration
	// LeaderLease is how long a leader goes on without hearing from a majority
	// before it steps down. It must not exceed Heartbeat.
	LeaderLease time.Duration
	// Commit is the idle time after which the leader tells followers the commit
	// index, when no write carries it.
	Commit time.Duration
}

// DefaultTiming suits servers in several zones of a region and disks that stall
// now and then: a new leader within about 3 s.
func DefaultTiming() Timing {
	return Timing{
		Heartbeat:   time.Second,
		Election:    time.Second,
		LeaderLease: 500 * time.Millisecond,
		Commit:      50 * time.Millisecond,
	}
}

// LANTiming suits servers in one room with disks that sync in well under 100
// ms: a new leader within about 1 s, at the price of elections when a disk
// stalls.
func LANTiming() Timing {
	return Timing{
		Heartbeat:   250 * time.Millisecond,
		Election:    250 * time.Millisecond,
		LeaderLease: 125 * time.Millisecond,
		Commit:      20 * time.Millisecond,
	}
}

// Server is one member of the cluster.
type Server struct {
	// ID is the server's name, unique for all time.
	ID string
	// Addr is the address the others reach its raft transport at, host:port.
	Addr string
	// Voter is false for a server that receives the log but does not count for
	// elections and commits, which is how every server joins.
	Voter bool
}

// Config is what New needs. Zero values mean the default named at each field;
// fields marked required have none.
type Config struct {
	// ServerID names this server, for all time. It is written into the data
	// directory, and a directory of another server is refused. Required.
	ServerID string
	// BindAddr is the host:port the raft transport listens on, ":0" for any
	// port. Required unless Stream or Transport is set.
	BindAddr string
	// AdvertiseAddr is the host:port other servers reach this one at. Default:
	// the bound address, which then must not be a wildcard.
	AdvertiseAddr string
	// Stream, if set, replaces the plain TCP listener, to put TLS with mutual
	// authentication below raft. It is closed on Shutdown.
	Stream raft.StreamLayer
	// Transport, if set, replaces the network altogether. It is closed on
	// Shutdown.
	Transport Transport
	// DataDir holds the log and the snapshots. Empty keeps both in memory, for
	// development and tests: a restart then forgets everything.
	DataDir string
	// Bootstrap starts a new cluster if, and only if, the data directory is
	// empty. Its members are InitialServers, which must be the same on each
	// server that bootstraps. Without Bootstrap an empty server waits until a
	// leader adds it. Set it for the first start only: with it, a server whose
	// disk was wiped would start a cluster of its own.
	Bootstrap bool
	// InitialServers are the members of a bootstrapped cluster. Default: this
	// server alone, as a voter.
	InitialServers []Server
	// Timing holds raft's time-outs. Default: DefaultTiming.
	Timing Timing
	// StateMachine receives the committed commands. Required.
	StateMachine StateMachine
	// Logger receives this package's and raft's messages. Default: none.
	Logger hclog.Logger

	// MaxEntryBytes bounds the envelope of one log entry. Entries over 512 KiB
	// delay heartbeats behind them on a slow link. Default 400 KiB, at most 512
	// KiB. A single command must fit, see MaxCommandBytes.
	MaxEntryBytes int
	// MaxEntryCommands bounds the commands of one log entry, so that applying one
	// takes a bounded time. Default 1024, at most 65535.
	MaxEntryCommands int
	// MaxQueuedCommands bounds the commands that wait to be put into an entry;
	// above it Propose returns ErrOverloaded at once. Default 8192.
	MaxQueuedCommands int
	// MaxQueuedBytes bounds their total size. Default 64 MiB.
	MaxQueuedBytes int
	// MaxInflightEntries bounds the entries proposed but not yet applied. One
	// entry is replicated while the next is written; more only make batches
	// smaller. Default 2.
	MaxInflightEntries int
	// MaxPendingReads bounds the reads that wait for a confirmation of
	// leadership. Default 16384.
	MaxPendingReads int

	// SnapshotInterval is how often raft looks whether a snapshot is due, drawn
	// between one and two times this value. Default 2 min.
	SnapshotInterval time.Duration
	// SnapshotThreshold is the number of entries since the last snapshot that
	// makes one due. Default 8192.
	SnapshotThreshold uint64
	// TrailingLogs is how many entries stay in the log behind a snapshot, so that
	// a follower that was away for a short time needs no snapshot. Default 10240.
	TrailingLogs uint64

	// ManualPromotion keeps the leader from making caught-up non-voters voters.
	// Default false: it does.
	ManualPromotion bool
	// PromoteAfter is how long a non-voter must be caught up without a break
	// before it becomes a voter, so that a flapping server does not join the
	// majority. Default 5 s.
	PromoteAfter time.Duration
	// Watchdog says when a leader with a slow disk hands over. Default:
	// DefaultWatchdog.
	Watchdog Watchdog
	// ShutdownGrace bounds how long Shutdown waits for proposals and reads that
	// are under way. Default 5 s.
	ShutdownGrace time.Duration
	// OnCommit, if set, is called once per log entry that this node proposed and
	// applied, with the time from the hand-over to raft until the answer. It must
	// not block.
	OnCommit func(latency time.Duration, commands, bytes int)

	// wrapLogStore lets tests put a slow or failing store below the node.
	wrapLogStore func(raft.LogStore) raft.LogStore
}

// Bounds and fixed values.
const (
	maxEntryBytesLimit    = 512 << 10
	maxEntryCommandsLimit = 1<<16 - 1

	// maxAppendEntries is how many log entries go into one message to a follower
	// that catches up. With entries of up to 400 KiB raft's default of 64 would
	// make messages of 25 MiB.
	maxAppendEntries = 32
	// enqueueTimeout bounds the wait for raft's main loop to take a request; the
	// loop blocks while the local disk syncs.
	enqueueTimeout = 10 * time.Second
	// enqueueSlice is the longest such wait at a time, see proposer.commit.
	enqueueSlice = 250 * time.Millisecond
	// retainSnapshots is one to send and the one before, should the newest turn
	// out to be damaged.
	retainSnapshots = 2
	// dutiesInterval is how often the leader looks at promotions and at its own
	// health.
	dutiesInterval = 500 * time.Millisecond
	// transportTimeout is the deadline for one message between servers.
	transportTimeout = 10 * time.Second
	// transportPool is how many idle connections are kept per server.
	transportPool = 3
)

// withDefaults returns a validated copy.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.MaxEntryBytes, 400<<10)
	setDefault(&c.MaxEntryCommands, 1024)
	setDefault(&c.MaxQueuedCommands, 8192)
	setDefault(&c.MaxQueuedBytes, 64<<20)
	setDefault(&c.MaxInflightEntries, 2)
	setDefault(&c.MaxPendingReads, 16384)
	setDefault(&c.SnapshotInterval, 2*time.Minute)
	setDefault(&c.SnapshotThreshold, 8192)
	setDefault(&c.TrailingLogs, 10240)
	setDefault(&c.PromoteAfter, 5*time.Second)
	setDefault(&c.ShutdownGrace, 5*time.Second)
	setDefault(&c.Timing, DefaultTiming())
	setDefault(&c.Watchdog, DefaultWatchdog())
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, c.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("consensus config: "+format, args...))
		}
	}
	check(c.ServerID != "", "ServerID is empty: give each server a name of its own")
	check(c.StateMachine != nil, "StateMachine is missing")
	check(c.Transport != nil || c.Stream != nil || c.BindAddr != "", "BindAddr is empty: give the raft transport a host:port")
	check(c.MaxEntryBytes > envelopeOverhead+commandOverhead && c.MaxEntryBytes <= maxEntryBytesLimit,
		"MaxEntryBytes is %d, want at most %d", c.MaxEntryBytes, maxEntryBytesLimit)
	check(c.MaxEntryCommands > 0 && c.MaxEntryCommands <= maxEntryCommandsLimit,
		"MaxEntryCommands is %d, want 1 to %d", c.MaxEntryCommands, maxEntryCommandsLimit)
	check(c.MaxQueuedCommands > 0, "MaxQueuedCommands is %d, want at least 1", c.MaxQueuedCommands)
	check(c.MaxQueuedBytes >= c.MaxEntryBytes, "MaxQueuedBytes is %d, want at least MaxEntryBytes = %d", c.MaxQueuedBytes, c.MaxEntryBytes)
	check(c.MaxInflightEntries > 0, "MaxInflightEntries is %d, want at least 1", c.MaxInflightEntries)
	check(c.MaxPendingReads > 0, "MaxPendingReads is %d, want at least 1", c.MaxPendingReads)
	check(c.PromoteAfter >= 0, "PromoteAfter is %v, want 0 or more", c.PromoteAfter)
	check(c.ShutdownGrace > 0, "ShutdownGrace is %v, want more than 0", c.ShutdownGrace)
	if c.ServerID != "" {
		if err := raft.ValidateConfig(c.raftConfig(nil)); err != nil {
			errs = append(errs, fmt.Errorf("consensus config: raft: %w", err))
		}
	}
	return errors.Join(append(errs, c.Watchdog.validate())...)
}

// MaxCommandBytes returns the size of the largest command Propose accepts.
func (c Config) MaxCommandBytes() int {
	setDefault(&c.MaxEntryBytes, 400<<10)
	return c.MaxEntryBytes - envelopeOverhead - commandOverhead
}

// raftConfig translates to raft's own configuration.
func (c *Config) raftConfig(notify chan<- bool) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(c.ServerID)
	rc.HeartbeatTimeout = c.Timing.Heartbeat
	rc.ElectionTimeout = c.Timing.Election
	rc.LeaderLeaseTimeout = c.Timing.LeaderLease
	rc.CommitTimeout = c.Timing.Commit
	rc.MaxAppendEntries = maxAppendEntries
	rc.SnapshotInterval = c.SnapshotInterval
	rc.SnapshotThreshold = c.SnapshotThreshold
	rc.TrailingLogs = c.TrailingLogs
	rc.NoLegacyTelemetry = true
	rc.NotifyCh = notify
	rc.Logger = c.Logger.Named("raft")
	// A removed server goes on as a follower that asks nobody for votes, so that
	// its owner decides when to stop it, in order.
	rc.ShutdownOnRemove = false
	return rc
}
