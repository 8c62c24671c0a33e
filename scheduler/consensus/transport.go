package consensus

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Transport is what carries raft's messages. Pre-vote and Close are part of it:
// raft looks for both by type assertion and silently does without them.
type Transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// peerTransport wraps the transport below raft for two reasons. It refuses
// raft's heartbeat fast path, see the package documentation, and it remembers
// what every peer answered last, which is the evidence for linearizable reads,
// for promotions and for the watchdog.
type peerTransport struct {
	Transport
	peers *peerTable
}

var (
	_ raft.Transport   = (*peerTransport)(nil)
	_ raft.WithPreVote = (*peerTransport)(nil)
	_ raft.WithClose   = (*peerTransport)(nil)
)

// SetHeartbeatHandler ignores the handler, so that heartbeats are delivered
// through Consumer and handled on raft's main loop.
func (t *peerTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries sends one message, heartbeats included, and records the answer.
// Pipelined messages are not recorded; heartbeats go on beside a pipeline.
func (t *peerTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	sent, start := t.peers.mark(), time.Now()
	if err := t.Transport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	if resp.Term <= args.Term {
		now := time.Now()
		t.peers.record(id, ack{term: args.Term, sent: sent, at: now, roundTrip: now.Sub(start), lastLog: resp.LastLog})
	}
	return nil
}

// ack is a peer's acceptance of a leader's message.
type ack struct {
	// term is the leader's term that the peer accepted.
	term uint64
	// sent orders the sending of the message against marks.
	sent uint64
	// at is when the answer arrived, roundTrip how long it took.
	at        time.Time
	roundTrip time.Duration
	// lastLog is the index of the last entry in the peer's log.
	lastLog uint64
}

// peerTable holds the latest ack of each peer, and a counter that orders
// sending against other events without a clock.
type peerTable struct {
	mu   sync.Mutex
	last uint64
	acks map[raft.ServerID]ack
}

func newPeerTable() *peerTable {
	return &peerTable{acks: make(map[raft.ServerID]ack)}
}

// mark returns a number above all earlier marks.
func (p *peerTable) mark() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	return p.last
}

func (p *peerTable) record(id raft.ServerID, a ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.acks[id]; a.sent > old.sent {
		p.acks[id] = a
	}
}

// snapshot returns the acks of the given servers and forgets all others, which
// bounds the table by the size of the cluster.
func (p *peerTable) snapshot(servers []raft.Server) map[raft.ServerID]ack {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := make(map[raft.ServerID]ack, len(servers))
	for _, s := range servers {
		if a, ok := p.acks[s.ID]; ok {
			kept[s.ID] = a
		}
	}
	p.acks = kept
	out := make(map[raft.ServerID]ack, len(kept))
	for id, a := range kept {
		out[id] = a
	}
	return out
}

// majorityAcked reports whether a majority of the voters, self counted as one,
// accepted the term in answer to a message sent after the mark.
func majorityAcked(servers []raft.Server, self raft.ServerID, acks map[raft.ServerID]ack, term, mark uint64) bool {
	voters, acked := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if a := acks[s.ID]; s.ID == self || (a.term == term && a.sent > mark) {
			acked++
		}
	}
	return acked > voters/2
}

// openTransport builds the transport the configuration asks for.
func openTransport(cfg *Config) (Transport, error) {
	if cfg.Transport != nil {
		return cfg.Transport, nil
	}
	stream := cfg.Stream
	if stream == nil {
		var err error
		if stream, err = listenTCP(cfg.BindAddr, cfg.AdvertiseAddr); err != nil {
			return nil, err
		}
	}
	return &networkTransport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  stream,
		MaxPool: transportPool,
		Timeout: transportTimeout,
		Logger:  cfg.Logger.Named("raft-transport"),
	})}, nil
}

// networkTransport closes its connections as well when it is closed; raft's own
// only stops listening.
type networkTransport struct {
	*raft.NetworkTransport
}

// Close stops the listener and drops all connections.
func (t *networkTransport) Close() error {
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	return err
}

// tcpStream is plain TCP for raft. Unlike raft's own it advertises names as
// well as addresses.
type tcpStream struct {
	net.Listener
	advertise net.Addr
}

var _ raft.StreamLayer = (*tcpStream)(nil)

// advertised is a net.Addr that is looked up by those who dial it.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

func listenTCP(bind, advertise string) (*tcpStream, error) {
	l, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("raft transport: %w: is another server running on this address?", err)
	}
	s := &tcpStream{Listener: l, advertise: l.Addr()}
	if advertise != "" {
		s.advertise = advertised(advertise)
	} else if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		return nil, errors.Join(fmt.Errorf("raft transport: bound to %s, which others cannot dial: set AdvertiseAddr", a), l.Close())
	}
	return s, nil
}

// Addr returns the advertised address.
func (s *tcpStream) Addr() net.Addr { return s.advertise }

// Dial implements raft.StreamLayer.
func (s *tcpStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(address), timeout)
}
