package bench

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProcessorTimeIsFoundBehindAnyName(t *testing.T) {
	const fields = " S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 12 1 2"
	for _, name := range []string{"(caravan)", "(a b)", "(odd) name)", "(1 2 3 4 5 6 7 8 9)"} {
		if got, err := parseCPU("42 " + name + fields); err != nil || got != 3*time.Second {
			t.Errorf("%s: %v, %v; want 3s", name, got, err)
		}
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 (x)" + strings.Replace(fields, "250", "x", 1)} {
		if _, err := parseCPU(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestMemoryAndMetricsAreRead(t *testing.T) {
	if got, err := parseRSS([]byte("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n")); err != nil || got != 2<<20 {
		t.Errorf("VmRSS: %d, %v", got, err)
	}
	if _, err := parseRSS([]byte("Name:\tx\n")); err == nil {
		t.Error("a zombie has memory")
	}
	const text = "# TYPE a_total counter\na_total_more 1\na_total 1.5e+06\n"
	if got, err := parseMetric(strings.NewReader(text), "a_total"); err != nil || got != 1.5e6 {
		t.Errorf("metric: %v, %v", got, err)
	}
	if _, err := parseMetric(strings.NewReader(text), "b_total"); err == nil {
		t.Error("a metric that is not there was found")
	}
}

func TestQuantilesCountTasksNotObservations(t *testing.T) {
	var l latencies
	l.add(30*time.Millisecond, 1)
	l.add(10*time.Millisecond, 98)
	l.add(20*time.Millisecond, 1)
	for q, want := range map[float64]time.Duration{0.5: 10, 0.98: 10, 0.985: 20, 0.99: 20, 0.995: 30, 1: 30} {
		if got := l.quantile(q); got != want*time.Millisecond {
			t.Errorf("%v: %v, want %d ms", q, got, want)
		}
	}
	if got := (&latencies{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTasksAreSpreadOverTheJobs(t *testing.T) {
	cfg := &Config{Tasks: 103, Jobs: 8}
	var sum int64
	for i := range cfg.Jobs {
		g := spec(cfg, i).Groups[0]
		n := g.Indices[0].Last + 1
		if n != 12 && n != 13 {
			t.Errorf("job %d has %d tasks", i, n)
		}
		sum += n
	}
	if sum != 103 {
		t.Errorf("%d tasks in all", sum)
	}
}

func TestAFleetHasAsManyNodesAsAskedFor(t *testing.T) {
	for _, n := range []int{1, 2, 9, 10, 1234} {
		nodes, err := fleet(n)
		if err != nil || len(nodes) != n {
			t.Errorf("%d nodes: got %d, %v", n, len(nodes), err)
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	good := Config{Bin: "b", Dir: "d", Servers: 3, Nodes: 10, Jobs: 2, Tasks: 20, Submitters: 1}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no servers":            func(c *Config) { c.Servers = 0 },
		"too many nodes":        func(c *Config) { c.Nodes = MaxNodes + 1 },
		"jobs without tasks":    func(c *Config) { c.Tasks = 1 },
		"more than a job holds": func(c *Config) { c.Jobs, c.Tasks = 1, 2_000_000 },
		"nobody to submit":      func(c *Config) { c.Submitters = 0 },
		"a negative time":       func(c *Config) { c.TaskTime = -1 },
		"no binary":             func(c *Config) { c.Bin = "" },
	} {
		c := good
		if change(&c); c.validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTheKeysOfAReportAreFixed(t *testing.T) {
	raw, err := json.Marshal(Placements{})
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]float64
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	want := []string{"committed_per_s", "cpu_ms_per_placement", "raft_bytes_per_placement", "rss_mb", "submit_to_commit_p50_ms", "submit_to_commit_p99_ms"}
	var got []string
	for k := range keys {
		got = append(got, k)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
}
