package potential

import "fmt"

// PlacerConfig is what a Placer is made from.
type PlacerConfig struct {
	Config
	// Nodes is the number of nodes, which are numbered from 0.
	Nodes int
	// MaxCPUMilli and MaxMemoryMiB are the largest node's: the measure of what is left.
	MaxCPUMilli  int64
	MaxMemoryMiB int64
	// Mix is the workload, known beforehand or as a first guess.
	Mix Mix
	// Learn replaces the mix by what arrives, from 500 arrivals on.
	Learn bool
}

// Placer is an Index whose mix is kept up to date.
type Placer struct {
	Index
	cfg     PlacerConfig
	learner Learner
}

// NewPlacer returns a placer whose nodes take no work until they are Set.
func NewPlacer(cfg PlacerConfig) (*Placer, error) {
	if cfg.Nodes < 1 || cfg.Nodes > 1<<24 {
		return nil, fmt.Errorf("potential: %d nodes: there must be from 1 to %d", cfg.Nodes, 1<<24)
	}
	p, err := New(cfg.Config, cfg.Mix)
	if err != nil {
		return nil, err
	}
	return &Placer{Index: *newIndex(p, cfg.Nodes, cfg.MaxCPUMilli, cfg.MaxMemoryMiB), cfg: cfg}, nil
}

// Arrived counts an arrival of a class, and takes up a new mix when the old one no longer holds.
func (p *Placer) Arrived(class int) {
	if !p.cfg.Learn {
		return
	}
	news := p.learner.Observe(class)
	if news == Nothing {
		return
	}
	mix := p.learner.Mix(func(class int) Request { return p.orders[class].request })
	if mix.check() != nil {
		return // nothing but work without devices so far: there is no room to keep for it
	}
	if news == Counted {
		p.reprice(mix)
		return
	}
	p.learner.Take()
	next, err := New(p.cfg.Config, mix)
	must(err == nil, "a configuration that was checked before")
	p.retune(next)
}
