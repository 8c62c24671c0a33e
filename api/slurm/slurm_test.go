package slurm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/api/caravanv1"
	"caravan/api/slurm"
)

// read makes a request of a script's directives, variables and flags, as sbatch does.
func read(t *testing.T, script string, env map[string]string, flags ...string) (*slurm.Request, []string, error) {
	t.Helper()
	directives, warnings, err := slurm.Directives("job.sh", script)
	if err != nil {
		return nil, nil, err
	}
	given, _, err := slurm.Flags(flags)
	if err != nil {
		return nil, nil, err
	}
	r, more, err := slurm.NewRequest(slices.Concat(directives, slurm.Variables(func(k string) string { return env[k] }), given))
	var texts []string
	for _, w := range append(warnings, more...) {
		texts = append(texts, w.String())
	}
	return r, texts, err
}

func TestFlagsWinOverVariablesAndTheseOverDirectives(t *testing.T) {
	script := "#!/bin/sh\n#SBATCH -J one -p a\n#SBATCH --time=5 --qos=low\n"
	r, _, err := read(t, script, map[string]string{"SBATCH_PARTITION": "b", "SBATCH_TIMELIMIT": "6"}, "--time=7")
	if err != nil || r.Name != "one" || r.QOS != "low" || r.Partition != "b" || r.TimeMs != 7*60_000 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNothingIsDroppedInSilence(t *testing.T) {
	script := strings.Join([]string{
		"#!/bin/bash",                          // 1
		"# a comment",                          // 2
		"#SBATCH --job-name=\"a b\" --nodes 2", // 3
		"",                                     // 4
		"##SBATCH --nodes=9",                   // 5
		"#SBATCH\t--frobnicate=3 -n4",          // 6
		"#SBATCH --mail-type=END # and so on",  // 7
		"#SBATCH --gres=gpu:2,nic:1 stray",     // 8
		"#SBATCH --dependency=aftercorr:7_3+5", // 9
		"echo x",                               // 10
		"#SBATCH --time=1",                     // 11
	}, "\n")
	r, warnings, err := read(t, script, nil)
	if err != nil || r.Name != "a b" || r.Nodes != 2 || r.Tasks != 4 || r.TimeMs != 0 || r.GPUsPerNode.Count != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []string{
		`job.sh:6:9: warning: there is no option --frobnicate; it is ignored`,
		`job.sh:8:28: warning: "stray" is no option and is ignored`,
		`job.sh:11:1: warning: ignored, because it comes after the first command of the script`,
		`job.sh:7:9: warning: --mail-type has no effect: Caravan sends no mail`,
		`job.sh:8:9: warning: --gres: nodes have no "nic"; ask for other countable things with --licenses`,
		`job.sh:9:9: warning: --dependency: aftercorr waits for the whole of the other array, not task by task`,
		`job.sh:9:9: warning: --dependency: the wait of 5 minutes after the start has no effect`,
		`job.sh:9:9: warning: --dependency: 7_3 waits for all of job 7, not for one task of its array`,
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("the warnings are\n%s", strings.Join(warnings, "\n"))
	}
}

func TestMistakesHaveAPlaceAndAHint(t *testing.T) {
	for line, want := range map[string]string{
		"#SBATCH --time=soon":          `job.sh:2:9: --time: "soon" is no time`,
		"#SBATCH -N 2 --mem=4X":        `job.sh:2:14: --mem: "4X" is no size`,
		"#SBATCH --nodes":              `job.sh:2:9: --nodes has no value`,
		"#SBATCH --parsable=1":         `job.sh:2:9: --parsable takes no value`,
		"#SBATCH --job-name='x":        `job.sh:2:9: a quote is not closed`,
		"#SBATCH -d afterok:1?2":       `job.sh:2:9: --dependency: alternatives`,
		"#SBATCH --signal=USR9":        `job.sh:2:9: --signal: there is no signal "USR9"`,
		"#SBATCH --array=1-x":          `job.sh:2:9: --array: `,
		"#SBATCH --open-mode=sideways": `job.sh:2:9: --open-mode: there is no mode "sideways"`,
	} {
		_, _, err := read(t, "#!/bin/sh\n"+line+"\n", nil)
		if e, ok := errors.AsType[*slurm.Error](err); !ok || !strings.HasPrefix(e.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, _, err := slurm.Flags([]string{"--ntsks=3"}); err == nil || !strings.Contains(err.Error(), "did you mean --ntasks") {
		t.Error(err)
	}
}

func TestShapes(t *testing.T) {
	fleet := slurm.Fleet{{CPUMilli: 8000, MemoryMiB: 16384}, {CPUMilli: 16000, MemoryMiB: 65536}}
	for flags, want := range map[string][4]int64{ // nodes, cores of each, MiB of each, tasks
		"":                                    {1, 1, 2048, 1},
		"-n 4":                                {1, 4, 8192, 4},
		"-n 4 -c 2 --mem=1G":                  {1, 8, 1024, 4},
		"-n 40":                               {3, 14, 28672, 40},
		"-N 3":                                {3, 1, 2048, 3},
		"-N 2 --ntasks-per-node=4":            {2, 4, 8192, 8},
		"-n 10 --ntasks-per-node=4":           {3, 4, 8192, 10},
		"-N 2 -n 3":                           {2, 2, 4096, 3},
		"-N 4 -n 2":                           {2, 1, 2048, 2},
		"-c 4 --mem-per-cpu=500":              {1, 4, 2000, 1},
		"-c 16 --mem=0":                       {1, 16, 65536, 1},
		"-N2 -G 8 --cpus-per-gpu=2":           {2, 8, 16384, 2},
		"-G2 --mem-per-gpu=3G":                {1, 1, 6144, 1},
		"-w n[1-3]":                           {3, 1, 2048, 3},
		"--gpus=4 --gpus-per-task=2 -c 3 -N1": {1, 6, 12288, 2},
	} {
		r, _, err := read(t, "#!/bin/sh\n", nil, strings.Fields(flags)...)
		if err != nil {
			t.Fatal(flags, err)
		}
		spec, _, err := r.Job(slurm.Submission{Script: "#!/bin/sh\n", Dir: "/home/ann", Fleet: fleet})
		if err != nil {
			t.Fatal(flags, err)
		}
		g := spec.Groups[0]
		res := g.Variants[0].Resources
		got := [4]int64{g.Indices[0].Last + 1, res.CpuMilli / 1000, res.MemoryMib, int64(g.Batch.Tasks)}
		if got != want || g.Gang != (want[0] > 1) {
			t.Errorf("%q gives %v, want %v", flags, got, want)
		}
	}
}

func TestJobs(t *testing.T) {
	s := slurm.Submission{
		Script: "#!/bin/sh\n", File: "dir/Train_v2.sh", Arguments: []string{"a b"}, Dir: "/home/ann", Host: "login", Queues: []string{"default", "gpu-long"},
		Environ: []string{"PATH=/opt/conda/bin:/bin", "SLURM_JOB_ID=9", "PWD=/x", "SEED=7", "LIST=a,b"},
		Now:     time.UnixMilli(1_000_000).UTC(),
	}
	job := func(flags ...string) *caravanv1.JobSpec {
		r, _, err := read(t, "#!/bin/sh\n", nil, flags...)
		if err != nil {
			t.Fatal(flags, err)
		}
		spec, _, err := r.Job(s)
		if err != nil {
			t.Fatal(flags, err)
		}
		return spec
	}
	plain := job()
	if g := plain.Groups[0]; plain.Name != "train-v2-sh" || g.Batch.Name != "Train_v2.sh" || g.Workdir != "/home/ann" || g.Env["SEED"] != "7" || g.Env["PWD"] != "" || g.Env["SLURM_JOB_ID"] != "" {
		t.Errorf("%v", plain)
	}
	if env := job("--export=NONE").Groups[0].Env; env["PATH"] != "" || env["SLURM_SUBMIT_HOST"] != "login" {
		t.Errorf("%v", env)
	}
	if env := job("--export=SEED,A=1").Groups[0].Env; env["PATH"] != "" || env["SEED"] != "7" || env["A"] != "1" {
		t.Errorf("%v", env)
	}
	if spec := job("-p", "GPU_long,other", "-A", "lab", "--comment=x"); spec.Queue != "gpu-long" || spec.Labels[slurm.LabelAccount] != "lab" || spec.Labels[slurm.LabelComment] != "x" {
		t.Errorf("%v", spec)
	}
	array := job("--array=1-9:4%2", "--requeue", "-H", "--begin=now+2minutes", "--signal=B:USR1@90", "-t", "10")
	g := array.Groups[0]
	if g.MaxRunning != 2 || g.Indices[0].Last != 9 || g.Env["SLURM_ARRAY_TASK_COUNT"] != "3" || g.Env["SLURM_ARRAY_TASK_STEP"] != "4" || !array.Held ||
		array.BeginMs != 1_120_000 || g.Batch.Signal != 10 || g.Batch.SignalBeforeMs != 90_000 || g.Batch.SignalSteps || g.Retries != 1 {
		t.Errorf("%v", array)
	}
	deps := job("-d", "afterok:1:2,afterany:3,afternotok:4,after:5,singleton")
	var got []string
	for _, d := range deps.After {
		got = append(got, d.Job+":"+d.Condition.String()[len("DEPENDENCY_CONDITION_"):])
	}
	if want := "1:SUCCEEDED 2:SUCCEEDED 3:ENDED 4:FAILED 5:STARTED"; strings.Join(got, " ") != want || !deps.Singleton {
		t.Errorf("%v", got)
	}
	gpu := job("--gres=gpu:a100:2", "-C", "x86&(zone-a|ssd)", "-x", "n[1-2]", "-L", "maya:2", "--nice=5")
	dev := gpu.Groups[0].Variants[0].Resources.Devices[0]
	if dev.Count != 2 || dev.Constraints[0].Values[1].GetText() != "A100" || gpu.Groups[0].Limits["maya"] != 2 || gpu.Priority != -5 || len(gpu.Groups[0].Constraints) != 2 {
		t.Errorf("%v", gpu)
	}
}

func TestTimes(t *testing.T) {
	for text, minutes := range map[string]int64{
		"90": 90, "5:30": 5, "1:30:00": 90, "2-12": 3600, "2-12:30": 3630, "1-0:0:0": 1440, "UNLIMITED": 0, "0": 0,
	} {
		r, _, err := read(t, "#!/bin/sh\n", nil, "-t", text)
		if err != nil || r.TimeMs/60_000 != minutes {
			t.Errorf("%s is %d ms, %v", text, r.TimeMs, err)
		}
	}
	now := time.Date(2030, 1, 31, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"now+60": "2030-01-31 15:01:00", "now+1hour": "2030-01-31 16:00:00", "now+2days": "2030-02-02 15:00:00", "16:00": "2030-01-31 16:00:00",
		"14:30": "2030-02-01 14:30:00", "tomorrow": "2030-02-01 00:00:00", "noon": "2030-02-01 12:00:00", "4:15pm": "2030-01-31 16:15:00",
		"2031-01-20T12:34:00": "2031-01-20 12:34:00", "2031-01-20": "2031-01-20 00:00:00", "01/20/31": "2031-01-20 00:00:00",
	} {
		if at, err := slurm.StartTime(text, now); err != nil || at.Format(time.DateTime) != want {
			t.Errorf("%s is %s, %v", text, at, err)
		}
	}
}

func TestPatterns(t *testing.T) {
	n := slurm.Names{Job: 130, ArrayJob: 123, Index: 7, Arrayed: true, Name: "run", User: "ann", Node: "n3", NodeNumber: 1, Task: 2, Step: "0"}
	for pattern, want := range map[string]string{
		"log-%A_%a.out": "log-123_7.out", "%x-%j.%N": "run-130.n3", "%4a/%u": "0007/ann", "%t.%n.%s": "2.1.0", "100%%": "100%",
		"%J": "130.0", `a\%j`: "a%j", "%y%": "%y%",
	} {
		if got := n.Expand(pattern); got != want {
			t.Errorf("%s is %s, want %s", pattern, got, want)
		}
	}
}

func TestLayouts(t *testing.T) {
	for _, tc := range []struct {
		nodes, tasks, perNode int
		want                  string
	}{
		{2, 4, 0, "2(x2)"}, {3, 4, 0, "2,1(x2)"}, {3, 5, 2, "2(x2),1"}, {2, 0, 3, "3(x2)"}, {1, 0, 0, "1"}, {2, 9, 4, "5,4"},
	} {
		if got := slurm.NewLayout(tc.nodes, tc.tasks, tc.perNode).String(); got != tc.want {
			t.Errorf("%d tasks on %d nodes, %d a node: %s, want %s", tc.tasks, tc.nodes, tc.perNode, got, tc.want)
		}
	}
}

func TestTasksOfAStep(t *testing.T) {
	s := slurm.Step{ID: 3, Nodes: []string{"a", "b"}, Layout: slurm.Layout{2, 1}}
	last := s.Task(2)
	if last["SLURM_PROCID"] != "2" || last["SLURM_LOCALID"] != "0" || last["SLURM_NODEID"] != "1" || last["SLURMD_NODENAME"] != "b" || s.Task(1)["SLURM_GTIDS"] != "0,1" {
		t.Errorf("%v", last)
	}
}
