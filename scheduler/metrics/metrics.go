// Package metrics holds the server's figures for Prometheus, in a registry of
// its own. Names follow Prometheus's conventions: base units, and no label
// whose values users make. All methods are safe for concurrent use.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Gauges is what is read anew at every scrape.
type Gauges struct {
	Leader       bool
	AppliedIndex uint64
	// ProposedEntries and ProposedBytes count the log entries that this server
	// proposed and that were applied, since its start.
	ProposedEntries, ProposedBytes uint64
	Jobs                           map[string]int64 // by state: pending, running
	TasksRunning                   int64
	NodesReady                     int64
	NodesLost                      int64
}

// Metrics is the server's registry.
type Metrics struct {
	registry   *prometheus.Registry
	cycle      prometheus.Histogram
	placements prometheus.Counter
	dropped    prometheus.Counter
}

// New returns a registry whose gauges are read by the function at each scrape.
func New(read func() Gauges) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		cycle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "caravan_cycle_seconds", Help: "Time of one scheduling cycle, deciding and committing.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		placements: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "caravan_placements_total", Help: "Tasks placed by committed plans of this leader.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "caravan_placements_stale_total", Help: "Placements that no longer held when their plan was applied.",
		}),
	}
	m.registry.MustRegister(m.cycle, m.placements, m.dropped, gauges{read},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Cycle counts one scheduling cycle.
func (m *Metrics) Cycle(took time.Duration, placed, dropped int64) {
	m.cycle.Observe(took.Seconds())
	m.placements.Add(float64(placed))
	m.dropped.Add(float64(dropped))
}

// Handler serves the registry in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// gauges is a collector over a function.
type gauges struct{ read func() Gauges }

var (
	leaderDesc  = prometheus.NewDesc("caravan_leader", "1 on the server that leads.", nil, nil)
	appliedDesc = prometheus.NewDesc("caravan_raft_applied_index", "Raft index of the newest applied command.", nil, nil)
	entriesDesc = prometheus.NewDesc("caravan_raft_proposed_entries_total", "Log entries that this server proposed and that were applied.", nil, nil)
	bytesDesc   = prometheus.NewDesc("caravan_raft_proposed_bytes_total", "Size of the log entries that this server proposed and that were applied.", nil, nil)
	jobsDesc    = prometheus.NewDesc("caravan_jobs", "Jobs that have not ended, by state.", []string{"state"}, nil)
	tasksDesc   = prometheus.NewDesc("caravan_tasks_running", "Tasks with an allocation that has not ended.", nil, nil)
	nodesDesc   = prometheus.NewDesc("caravan_nodes", "Nodes by state.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, appliedDesc, entriesDesc, bytesDesc, jobsDesc, tasksDesc, nodesDesc} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(c chan<- prometheus.Metric) {
	v := g.read()
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	counter := func(d *prometheus.Desc, n uint64) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	counter(entriesDesc, v.ProposedEntries)
	counter(bytesDesc, v.ProposedBytes)
	leader := 0.0
	if v.Leader {
		leader = 1
	}
	gauge(leaderDesc, leader)
	gauge(appliedDesc, float64(v.AppliedIndex))
	gauge(tasksDesc, float64(v.TasksRunning))
	gauge(nodesDesc, float64(v.NodesReady), "ready")
	gauge(nodesDesc, float64(v.NodesLost), "lost")
	for state, n := range v.Jobs {
		gauge(jobsDesc, float64(n), state)
	}
}
