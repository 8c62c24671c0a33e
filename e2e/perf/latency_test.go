// Package perf measures what a user waits for, on real processes. Nothing here
// asserts absolute times: machines differ. Run with
//
//	go test -run '^$' -bench . ./e2e/perf
package perf

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
)

// dev starts `caravan dev` and returns its address.
func dev(b *testing.B, flags ...string) (bin, addr string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir := b.TempDir()
	bin, err := harness.Binary(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	cmd := exec.Command(bin, append([]string{"dev", "--port", "0", "--ready-file", ready}, flags...)...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	err = harness.Eventually(ctx, func() (bool, error) {
		t, err := os.ReadFile(ready)
		addr = strings.TrimSpace(string(t))
		return err == nil && addr != "", nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return bin, addr
}

// report adds the median and the 99th percentile to a benchmark's line.
func report(b *testing.B, d []time.Duration) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkSubmitToFirstOutput is the time from the call that submits a job to
// the first byte that its task wrote.
func BenchmarkSubmitToFirstOutput(b *testing.B) { submitToFirstOutput(b) }

// BenchmarkSubmitToFirstOutputInASandbox is the same for tasks that are shut off as by an
// agent's default.
func BenchmarkSubmitToFirstOutputInASandbox(b *testing.B) {
	submitToFirstOutput(b, "--isolation", "standard", "--task-user", "auto")
}

func submitToFirstOutput(b *testing.B, flags ...string) {
	_, addr := dev(b, flags...)
	cl, err := client.New(client.Config{Addresses: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	ctx := context.Background()
	spec := &pb.JobSpec{Name: "hello", Groups: []*pb.TaskGroup{{
		Name: "main", Indices: []*pb.IndexRange{{First: 0, Last: 0, Step: 1}},
		Variants: []*pb.Variant{{Name: "cpu", Command: []string{"/bin/echo", "hello"}}},
	}}}
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		r, err := cl.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: spec})
		if err != nil {
			b.Fatal(err)
		}
		first := true
		for c, err := range cl.ReadLogs(ctx, &pb.ReadLogsRequest{JobId: r.JobId, Follow: true}) {
			if err != nil {
				b.Fatal(err)
			}
			if first && len(c.Data) > 0 {
				took = append(took, time.Since(begin))
				first = false
			}
		}
		if first {
			b.Fatalf("%s wrote nothing", r.JobId)
		}
	}
	report(b, took)
}

// BenchmarkRunCommand is `caravan run -- echo hello` as a user sees it: from
// the start of the program to its end.
func BenchmarkRunCommand(b *testing.B) {
	bin, addr := dev(b)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		out, err := exec.Command(bin, "run", "--server", addr, "--", "echo", "hello").Output()
		if err != nil || string(out) != "hello\n" {
			b.Fatal(fmt.Errorf("%q: %w", out, err))
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}
