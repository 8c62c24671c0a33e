package health

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

// TestScenarios plays the lives of devices. Each line of input is "TIME what ...": raise CODE
// [DETAIL], clear CODE, busy, idle, pass, return. Output is one line for each event that had an
// effect, and the state at the end.
func TestScenarios(t *testing.T) {
	policy, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "policy" {
				if _, err := Parse([]byte(d.Input)); err != nil {
					return err.Error()
				}
				return "ok"
			}
			var out strings.Builder
			var r Record
			for line := range strings.Lines(d.Input) {
				e := parse(t, strings.TrimSpace(line))
				var effects []Effect
				r, effects = Apply(policy, r, e)
				if len(effects) > 0 {
					fmt.Fprintf(&out, "%s: %v, %s\n", strings.Fields(line)[0], effects, r.Describe())
				}
			}
			fmt.Fprintf(&out, "%s, in service %v", r.Describe(), r.State.InService())
			return out.String()
		})
	})
}

func parse(t *testing.T, line string) Event {
	t.Helper()
	words := strings.Fields(line)
	after, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	at := model.Time(after.Milliseconds())
	switch words[1] {
	case "raise":
		return Raised{Code: words[2], Detail: strings.Join(words[3:], " "), At: at}
	case "clear":
		return Cleared{Code: words[2], At: at}
	case "busy", "idle":
		return Used{Busy: words[1] == "busy", At: at}
	case "pass":
		return Passed{At: at}
	case "return":
		return Returned{At: at}
	}
	t.Fatalf("%q is no event", line)
	return nil
}

func TestARecordIsBoundedAndChangesAreTold(t *testing.T) {
	policy, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		now := model.Time(0)
		codes := rapid.SampledFrom([]string{"pcie-narrow", "amd-not-answering", "amd-ras-uncorrectable", "fpga-golden-image", "amd-ras-correctable", "never-heard-of"})
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += model.Time(rapid.SampledFrom([]int64{0, 60_000, 1_200_000, 7_200_000}).Draw(t, "pause"))
			var e Event
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				e = Raised{Code: codes.Draw(t, "raised"), At: now}
			case 1:
				e = Cleared{Code: codes.Draw(t, "cleared"), At: now}
			case 2:
				e = Used{Busy: rapid.Bool().Draw(t, "busy"), At: now}
			case 3:
				e = Returned{At: now}
			default:
				e = Passed{At: now}
			}
			before := r
			var effects []Effect
			r, effects = Apply(policy, r, e)
			switch {
			case before.State != r.State && len(effects) == 0:
				t.Fatalf("%v: %v becomes %v without a word", e, before, r)
			case r.State == Healthy && r.Reason != "":
				t.Fatalf("healthy with a reason: %v", r)
			case r.State == Quarantined && !r.Busy:
				t.Fatalf("idle and not being repaired: %v", r)
			case len(r.Past) > maxPast:
				t.Fatalf("%d faults are remembered", len(r.Past))
			}
			if again, _ := Apply(policy, before, e); fmt.Sprint(again) != fmt.Sprint(r) {
				t.Fatalf("the same event gives %v and %v", r, again)
			}
		}
	})
}

func TestAnOperatorsPolicyReplacesTheRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(string(defaultPolicy), "pcie-narrow, do: suspect", "pcie-narrow, do: note", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := Apply(p, Record{}, Raised{Code: "pcie-narrow"}); r.State != Healthy {
		t.Errorf("%v", r.Describe())
	}
}
