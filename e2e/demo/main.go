// Command demo shows Caravan doing its main job for real: three scheduler
// servers and two agents on loopback run a transcode ladder, the leading
// server is killed half way, and the result is proved frame by frame. It
// cleans up after itself, also on Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
	"caravan/e2e/workloads/ladder"
)

// limit bounds the whole demo.
const limit = 5 * time.Minute

func main() {
	bin := flag.String("caravan", "", "path of the caravan binary")
	keep := flag.Bool("keep", false, "keep the working directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, keep bool) error {
	dir, err := os.MkdirTemp("", "caravan-demo-")
	if err != nil {
		return err
	}
	// The agents may run tasks as other users one day; let them reach the files.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if keep {
		fmt.Println("working directory:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	begin := time.Now()
	say("Making a 12 s source clip (640x360, 288 frames, one audio track)")
	job, err := ladder.Prepare(ctx, dir)
	if err != nil {
		return err
	}
	say("Starting three servers and two agents on loopback")
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 3, Agents: 2,
		ServerFlags: []string{"--timing", "lan"},
	})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := show(ctx, c, "cluster", "status"); err != nil {
		return err
	}
	if err := show(ctx, c, "node", "ls"); err != nil {
		return err
	}
	if err := transcode(ctx, c, job); err != nil {
		return err
	}
	if err := prove(ctx, dir); err != nil {
		return err
	}
	fmt.Printf("\nDone in %s. Where to look next:\n"+
		"  bin/caravan dev                                    a cluster of one on this machine\n"+
		"  bin/caravan dev --fleet gn4=2,ga1=1,f1=1,c4=4      the same with simulated GPU and FPGA hosts\n"+
		"  bin/caravan run -- echo hello                      (in another terminal)\n"+
		"  e2e/workloads/ladder/ladder.yaml                   the job that just ran\n"+
		"  README.md, docs/                                   the rest\n", time.Since(begin).Round(time.Second))
	return nil
}

// transcode submits the ladder, follows it, and kills the leader half way.
func transcode(ctx context.Context, c *harness.Cluster, job string) error {
	say("Submitting the ladder: 18 chunk encodes, 3 concats, audio, mux, check")
	fmt.Println("$ caravan submit --wait ladder.yaml")
	follow := c.CLI(ctx, "submit", "--wait", job)
	follow.Stdout, follow.Stderr = os.Stdout, os.Stderr
	if err := follow.Start(); err != nil {
		return err
	}
	id, err := killLeaderAt(ctx, c, 9)
	if err != nil {
		_ = follow.Process.Kill()
		_ = follow.Wait()
		return err
	}
	if err := follow.Wait(); err != nil {
		_ = show(ctx, c, "status", id)
		_ = show(ctx, c, "why", id)
		return fmt.Errorf("job %s did not succeed: %w", id, err)
	}
	return show(ctx, c, "status", id)
}

// killLeaderAt waits until n tasks of the cluster's only job have succeeded,
// ends the leading server as a power cut would, and returns the job's id.
func killLeaderAt(ctx context.Context, c *harness.Cluster, n int64) (id string, err error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return "", err
	}
	conn, err := c.Conn(leader)
	if err != nil {
		return "", err
	}
	jobs := pb.NewJobServiceClient(conn)
	err = harness.Eventually(ctx, func() (bool, error) {
		l, err := jobs.ListJobs(ctx, &pb.ListJobsRequest{})
		if err != nil || len(l.Jobs) == 0 {
			return false, err
		}
		id = l.Jobs[0].Id
		var done int64
		for _, g := range l.Jobs[0].Groups {
			done += g.Succeeded
		}
		return done >= n || l.Jobs[0].State > pb.JobState_JOB_STATE_RUNNING, nil
	})
	if err != nil {
		return id, err
	}
	say(fmt.Sprintf("%d tasks are done: kill -9 of the leading server %s (pid %d)", n, leader.Name, leader.PID()))
	leader.Kill()
	next, err := c.Leader(ctx)
	if err != nil {
		return id, fmt.Errorf("no new leader: %w", err)
	}
	say("Server " + next.Name + " leads now; the tasks went on")
	return id, nil
}

// prove compares every rung with a whole-file encode made here and now.
func prove(ctx context.Context, dir string) error {
	say("Proof: decoded frames of every rung against an undisturbed whole-file encode")
	proofs, err := ladder.Verify(ctx, dir)
	if err != nil {
		return err
	}
	bad := 0
	for _, p := range proofs {
		verdict := "equal"
		if !p.OK() {
			verdict, bad = "DIFFERENT", bad+1
		}
		fmt.Printf("  %-8s %3d frames  cluster %s  whole %s  %s\n", p.Size, p.Frames, p.Got, p.Want, verdict)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d rungs differ", bad, len(proofs))
	}
	return nil
}

func show(ctx context.Context, c *harness.Cluster, args ...string) error {
	fmt.Println("\n$ caravan " + strings.Join(args, " "))
	cmd := c.CLI(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("caravan %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func say(line string) { fmt.Println("\n== " + line) }
