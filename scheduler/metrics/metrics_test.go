package metrics

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func example() *Metrics {
	return New(func() Gauges {
		return Gauges{Leader: true, AppliedIndex: 7, ProposedEntries: 3, ProposedBytes: 900, Jobs: map[string]int64{"pending": 2, "running": 1}, TasksRunning: 5, NodesReady: 3, NodesLost: 1}
	})
}

func TestNamesAndHelpPassPrometheussLinter(t *testing.T) {
	problems, err := testutil.GatherAndLint(example().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "caravan_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestAScrapeShowsTheStateOfTheMoment(t *testing.T) {
	m := example()
	m.Cycle(3*time.Millisecond, 10, 1)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(w.Body)
	for _, line := range []string{
		"caravan_leader 1", "caravan_raft_applied_index 7", "caravan_raft_proposed_entries_total 3", "caravan_raft_proposed_bytes_total 900", `caravan_jobs{state="pending"} 2`, "caravan_tasks_running 5",
		`caravan_nodes{state="lost"} 1`, "caravan_placements_total 10", "caravan_placements_stale_total 1", "caravan_cycle_seconds_count 1",
	} {
		if !strings.Contains(string(body), line+"\n") {
			t.Errorf("the scrape lacks %q", line)
		}
	}
}
