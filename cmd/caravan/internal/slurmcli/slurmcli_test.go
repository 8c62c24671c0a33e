package slurmcli

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/slurm"
)

// script is a job of one batch script for each index of an array.
func script(id string, indices ...*pb.IndexRange) *pb.Job {
	g := &pb.TaskGroup{Name: "main", Indices: indices, Batch: &pb.Batch{Name: "My_Job"}, Variants: []*pb.Variant{{Resources: &pb.Resources{CpuMilli: 2000, MemoryMib: 512}}}}
	j := &pb.Job{Id: id, Owner: "ann", State: pb.JobState_JOB_STATE_PENDING, Spec: &pb.JobSpec{Name: "my-job", Queue: "default", Groups: []*pb.TaskGroup{g}}, Groups: []*pb.GroupStatus{{Tasks: 1}}}
	if len(indices) > 0 {
		g.Env = map[string]string{"SLURM_ARRAY_TASK_COUNT": "x"}
	}
	return j
}

func TestFormats(t *testing.T) {
	r := &row{job: script("my-job-12", &pb.IndexRange{First: 1, Last: 9, Step: 2}), waiting: "1-9:2"}
	for format, want := range map[string]string{
		"%i %j|%t|%R":       "12_[1-9:2] My_Job|PD|(Resources)",
		"%.5u|%-3C":         "",
		"%.5u|%3C|%.4j":     "  ann|2  |My_J",
		"%A %F %K %P %l %m": "12 12 1-9:2 default UNLIMITED 512M",
	} {
		cols, err := percent(format, queueFields())
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken", format)
			}
			continue
		}
		var out bytes.Buffer
		if err != nil || table(&out, cols, queueFields(), []*row{r}, true) != nil || strings.TrimSuffix(out.String(), "\n") != want {
			t.Errorf("%s gives %q, %v", format, out.String(), err)
		}
	}
	cols, err := named("JobID:6,Name:.8,State", ':', 10, queueFields())
	var out bytes.Buffer
	if err != nil || table(&out, cols, queueFields(), []*row{r}, false) != nil || out.String() != "JOBID     NAMESTATE\n12      My_JobPENDING\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestFlagsStandInAnyOrder(t *testing.T) {
	f, words, err := parse(cancelFlags(), []string{"12", "-s", "USR1", "--user=ann", "-bv", "13_4", "--", "-x"})
	if err != nil || f.last("signal") != "USR1" || !f.has("batch") || !f.has("verbose") || f.last("user") != "ann" || !slices.Equal(words, []string{"12", "13_4", "-x"}) {
		t.Errorf("%v %q %v", f, words, err)
	}
	for _, args := range [][]string{{"--nope"}, {"-Z"}, {"-s"}} {
		if _, _, err := parse(cancelFlags(), args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestIDs(t *testing.T) {
	ids, err := readIDs([]string{"12,13_4", "14_[1-3,7]", "15.batch", "film-17"})
	if err != nil || len(ids) != 5 || ids[1].indices[0].First != 4 || len(ids[2].indices) != 2 || ids[3].job != "15" || ids[4].job != "film-17" {
		t.Errorf("%+v %v", ids, err)
	}
	if _, err := readIDs([]string{"x"}); err == nil {
		t.Error("x is taken for an id")
	}
	job := script("my-job-20", &pb.IndexRange{First: 1, Last: 9, Step: 4}, &pb.IndexRange{First: 50, Last: 51, Step: 1})
	for id, want := range map[string]int64{"20": -1, "21": 5, "22": 9, "23": 50, "24": 51} {
		w := element(job, wanted{job: id})
		if want < 0 && len(w.indices) != 0 || want >= 0 && (len(w.indices) != 1 || w.indices[0].First != want) {
			t.Errorf("%s is %v", id, w.indices)
		}
	}
}

func TestPlans(t *testing.T) {
	env := map[string]string{"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2"}
	a := &App{Getenv: func(k string) string { return env[k] }}
	w := within{nodes: []string{"n1", "n2"}, cpus: 4}
	for flags, want := range map[string]string{
		"":                        "[0 1] 2(x2) 1",
		"-n 1":                    "[0] 1 1",
		"-N 2 -n 2 -c 3":          "[0 1] 1(x2) 3",
		"-n 3":                    "[0 1] 2,1 1",
		"-w n2 -n 2":              "[1] 2 1",
		"-r 1 -N 1 -n 1":          "[1] 1 1",
		"-N 3":                    "error",
		"-w n9":                   "error",
		"-N2 --ntasks-per-node=3": "[0 1] 3(x2) 1",
	} {
		settings, _, err := slurm.Flags(strings.Fields(flags))
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := slurm.NewRequest(settings)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if p, err := a.plan(r, w); err == nil {
			got = strings.Join([]string{fmtInts(p.nodes), p.layout.String(), fmtInts([]int{p.slots})[1:2]}, " ")
		}
		if got != want {
			t.Errorf("%q: %s, want %s", flags, got, want)
		}
	}
}

func fmtInts(n []int) string {
	words := make([]string, len(n))
	for i, v := range n {
		words[i] = string(rune('0' + v))
	}
	return "[" + strings.Join(words, " ") + "]"
}

func TestStepsShareProcessorsAndGetNumbers(t *testing.T) {
	dir := t.TempDir()
	one := plan{nodes: []int{0}, layout: slurm.Layout{1}, slots: 1}
	first, id, err := enter(t.Context(), dir, one, 2, func() { t.Error("the first waits") })
	if err != nil || id != 0 {
		t.Fatal(id, err)
	}
	second, id, err := enter(t.Context(), dir, one, 2, func() { t.Error("the second waits") })
	if err != nil || id != 1 {
		t.Fatal(id, err)
	}
	defer second.close()
	// The third waits until the first is over; one that shares does not.
	shared := one
	shared.shared = true
	if _, id, err := enter(t.Context(), dir, shared, 2, nil); err != nil || id != 2 {
		t.Fatal(id, err)
	}
	third, id, err := enter(t.Context(), dir, one, 2, first.close)
	if err != nil || id != 3 {
		t.Fatal(id, err)
	}
	third.close()
	// Whoever gives up leaves nothing behind.
	ctx, cancel := context.WithCancel(t.Context())
	both := plan{nodes: []int{0}, layout: slurm.Layout{2}, slots: 1}
	if _, _, err := enter(ctx, dir, both, 2, cancel); err == nil {
		t.Error("two processors were got though one is taken")
	}
	again, _, err := enter(t.Context(), dir, one, 2, func() { t.Error("what was given up is held") })
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 65 * time.Second: "1:05", time.Hour: "1:00:00", 49*time.Hour + time.Second: "2-01:00:01",
	} {
		if got := clock(d, false); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
