package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"caravan/e2e/harness"
)

// counters is what is read before and after.
type counters struct {
	// cpu is the processor time of all servers since their starts.
	cpu time.Duration
	// leaderRSS is the leader's resident memory in bytes.
	leaderRSS int64
	// raftBytes is the size of the log entries that any server proposed while
	// it led: leadership may move.
	raftBytes float64
	leader    string
}

func readCounters(ctx context.Context, cluster *harness.Cluster) (counters, error) {
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return counters{}, err
	}
	c := counters{leader: leader.Name}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", leader.PID()))
	if err != nil {
		return c, fmt.Errorf("memory of the leader: %w", err)
	}
	if c.leaderRSS, err = parseRSS(status); err != nil {
		return c, err
	}
	for _, s := range cluster.Servers {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
		if err != nil {
			return c, fmt.Errorf("processor time of server %s: %w", s.Name, err)
		}
		used, err := parseCPU(string(stat))
		if err != nil {
			return c, fmt.Errorf("processor time of server %s: %w", s.Name, err)
		}
		proposed, err := scrape(ctx, s.Addr, "caravan_raft_proposed_bytes_total")
		if err != nil {
			return c, err
		}
		c.cpu, c.raftBytes = c.cpu+used, c.raftBytes+proposed
	}
	return c, nil
}

// tick is the unit of processor times in /proc, USER_HZ: 1/100 s on every
// architecture that Go runs Linux on; see proc_pid_stat(5).
const tick = 10 * time.Millisecond

// parseCPU returns utime + stime of /proc/PID/stat: fields 14 and 15. Field 2,
// the name in parentheses, may hold anything, so counting begins behind it.
func parseCPU(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat is too short: %q", stat)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/PID/stat: utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/PID/stat: stime: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// parseRSS returns VmRSS of /proc/PID/status in bytes.
func parseRSS(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no VmRSS")
}

// scrapeTimeout bounds one reading of a server's metrics; it is long because
// the machine is as busy as it can be.
const scrapeTimeout = 30 * time.Second

// scrape reads one metric without labels from a server.
func scrape(ctx context.Context, addr, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	web := http.Client{Timeout: scrapeTimeout}
	resp, err := web.Do(req)
	if err != nil {
		return 0, fmt.Errorf("metrics of %s: %w", addr, err)
	}
	defer resp.Body.Close()
	return parseMetric(resp.Body, name)
}

// parseMetric finds a metric without labels in Prometheus's text format.
func parseMetric(r io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("the server shows no metric %s: is it of the same version?", name)
}
