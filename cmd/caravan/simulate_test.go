package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// simulate runs a packing experiment and returns its reports.
func simulate(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	b := newBench(t, fixture())
	out, errs, code := b.run("", append([]string{"simulate", "pack", "-o", "json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var reports []map[string]any
	if err := json.Unmarshal([]byte(out), &reports); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return reports
}

func TestSimulatePackReportsEveryPolicyAndSeed(t *testing.T) {
	reports := simulate(t, "--size", "40", "--seeds", "2", "--policy", "bestfit,caravan", "--load", "1.1")
	if len(reports) != 4 {
		t.Fatalf("%d reports, want 4", len(reports))
	}
	for i, want := range []string{"bestfit", "caravan", "bestfit", "caravan"} {
		r := reports[i]
		alloc, _ := r["gpu_alloc_pct"].(float64)
		if r["policy"] != want || r["seed"] != float64(1+i/2) || alloc < 50 || alloc > 100 {
			t.Errorf("report %d: %v", i, r)
		}
	}
}

// TestSimulatePackReadsWhatItWrote: the lists on disk give the figures of the generated ones.
func TestSimulatePackReadsWhatItWrote(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "small")
	b := newBench(t, fixture())
	if _, errs, code := b.run("", "simulate", "pack", "--size", "40", "--constrained", "300", "--write", prefix); code != 0 {
		t.Fatal(errs)
	}
	args := []string{"--policy", "fgd", "--size", "40", "--constrained", "300"}
	generated := simulate(t, args...)[0]
	read := simulate(t, "--policy", "fgd", "--nodes", prefix+"-nodes.csv", "--pods", prefix+"-pods.csv")[0]
	for _, key := range []string{"gpu_alloc_pct", "frag_pct", "placed", "refused", "power_watts"} {
		if generated[key] != read[key] {
			t.Errorf("%s: %v generated, %v read", key, generated[key], read[key])
		}
	}
}

func TestSimulatePackShowsFamiliesWhenWide(t *testing.T) {
	b := newBench(t, fixture())
	out, errs, code := b.run("", "simulate", "pack", "--families", "gn4=4,ga1=2,f1=1,c4=4", "--policy", "caravan", "-o", "wide")
	if code != 0 {
		t.Fatal(errs)
	}
	for _, want := range []string{"POLICY", "ALLOC@0.9", "ALLOC@1.3", "caravan", "learned", "gn4", "ga1", "f1", "c4"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestSimulatePackSaysWhatIsWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "nodes.csv")
	if err := os.WriteFile(bad, []byte("sn,cpu_milli,memory_mib,gpu,model\na,many,1,0,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--nodes", bad}, "go together"},
		{[]string{"--nodes", bad, "--pods", bad}, "nodes.csv:2:3: cpu_milli \"many\" is not a whole number"},
		{[]string{"--load", "11"}, "--load 11"},
		{[]string{"--load", "0.12345"}, "--load 0.12345"},
		{[]string{"--seeds", "0"}, "--seeds"},
		{[]string{"--policy", "worstfit"}, "unknown policy"},
		{[]string{"--mix", "odd"}, "unknown mix"},
		{[]string{"--families", "gn9=1"}, "unknown family"},
		{[]string{"--cpu-only", "900", "--fraction", "900"}, "more than 1000"},
		{[]string{"--quantum", "2000"}, "Quantum"},
	} {
		b := newBench(t, fixture())
		out, errs, code := b.run("", append([]string{"simulate", "pack", "--size", "20"}, c.args...)...)
		if code == 0 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, printed %q and %q, want %q", c.args, code, out, errs, c.want)
		}
	}
}
