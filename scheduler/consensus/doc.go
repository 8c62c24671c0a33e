// Package consensus runs the raft node a Caravan server stands on: it puts
// commands into one agreed order, makes them durable on a majority of servers,
// hands them to a state machine, and says who leads.
//
// It knows nothing of jobs or nodes. Commands and answers are opaque; the state
// machine comes in as an interface. The server package builds one [Node] per
// process, proposes through [Node.Propose], reads through [Read], and starts
// and stops its leader-only loops on what [Node.Subscribe] delivers.
//
// # Promises
//
//   - A nil error from [Node.Propose] means: durable on a majority, applied on
//     this node, and the answer is the state machine's. Acknowledged commands
//     are applied once, in one order, on every node.
//   - [ErrAmbiguous] means the fate of a command is unknown. It may still be
//     applied later; propose it again with the same idempotency key. Every
//     other error of Propose means that it was not and never will be applied.
//   - [Read] is linearizable. The state is captured first, then a majority must
//     confirm this leader's term by answering a message that was sent after the
//     capture (Ongaro, "Consensus: Bridging Theory and Practice", section 6.4).
//     No clock takes part in that proof.
//   - A log entry that does not match its checksum, or that this version cannot
//     decode, is not applied, nor is anything after it: the node halts and
//     [Node.Run] returns [ErrHalted]. Stopping is safe, diverging is not.
//
// # Choices worth knowing
//
// Heartbeats take the slow path. raft offers transports a fast path that
// handles heartbeats beside the main loop; the two can interleave so that logs
// diverge (hashicorp/raft issue 695). The transport here refuses the fast path
// and heartbeats queue with everything else.
//
// Many commands share one log entry. A batch is whatever is waiting when the
// previous one has been handed over, up to [Config.MaxEntryBytes], so an idle
// node adds no delay and a busy one writes and syncs once for hundreds.
//
// Everything read back from disk is checked. The log store checks a batch only
// when it recovers its tail; this package adds a CRC32C to each log record, and
// the envelope of a batch carries another one from the proposer to the state
// machine. A mark beside the log tells a torn write from a log that lost its
// end: the first is recovered, the second refused.
//
// Snapshots may overlap. raft's file store keeps an open snapshot readable
// while newer ones are written and old ones are removed, so a slow follower
// never holds up log compaction.
//
// A leader with a slow disk hands over. raft itself never replaces a leader
// that is slow but alive, see [Watchdog].
//
// # Goroutines and build
//
// All methods of Node are safe for concurrent use. The goroutines are started
// by [New] and joined by [Node.Shutdown]; the state machine is called on one
// goroutine only, raft's. No build tag is needed: without tags raft and its log
// store report to armon/go-metrics' global sink, which drops everything unless
// a program configures it; with the tag hashicorpmetrics they use
// hashicorp/go-metrics instead.
package consensus
