package nvidia

import (
	"sync"
	"time"

	"caravan/plugins/sdk/pluginv1"
)

// source is where an event was seen. The kernel's log and NVML tell of the same Xid, each once.
type source uint8

const (
	fromNVML source = iota
	fromKernel
	sources
)

// maxCodes bounds the different events remembered of one GPU; there are about 180 Xids.
const maxCodes = 256

// ledger remembers events. Safe for concurrent use.
type ledger struct {
	hold time.Duration
	now  func() time.Time

	mu   sync.Mutex
	seen map[string]map[string]*sightings // by GPU and code
}

type sightings struct {
	counts [sources]int64
	last   time.Time
	detail string
}

func newLedger(hold time.Duration, now func() time.Time) *ledger {
	return &ledger{hold: hold, now: now, seen: make(map[string]map[string]*sightings)}
}

// note remembers an event of a GPU.
func (l *ledger) note(gpu, code, detail string, from source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	codes := l.seen[gpu]
	if codes == nil {
		codes = make(map[string]*sightings)
		l.seen[gpu] = codes
	}
	s := codes[code]
	if s == nil {
		if len(codes) >= maxCodes {
			return // it is ill enough as it is
		}
		s = &sightings{}
		codes[code] = s
	}
	s.counts[from]++
	s.last = l.now()
	if s.detail == "" || detail != "" && from == fromKernel {
		s.detail = detail // the kernel says more
	}
}

// forget drops a GPU's events: what caused them is mended.
func (l *ledger) forget(gpu string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, gpu)
}

// signals are a GPU's events of late. A count is how often the source that saw more has seen it.
func (l *ledger) signals(gpu string) []*pluginv1.Signal {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*pluginv1.Signal
	for code, s := range l.seen[gpu] {
		if l.now().Sub(s.last) < l.hold {
			all = append(all, &pluginv1.Signal{Code: code, Detail: s.detail, Count: max(s.counts[fromNVML], s.counts[fromKernel])})
		}
	}
	return all
}
