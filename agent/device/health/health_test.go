package health

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

// TestScenarios plays the lives of devices. Each line of input is "TIME what ...": raise CODE
// [DETAIL], clear CODE, busy, idle, pass, was-reset [WHY-NOT], tested [WHY-NOT], ban [REASON],
// ban-finish [REASON], return. CODE may be CODE@DEVICE. Output is one line for each event that had
// an effect, the state at the end, and with "history" what the servers are told. With "test" there
// is a self test.
func TestScenarios(t *testing.T) {
	policy, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "policy" {
				if _, err := Parse("my.yaml", []byte(d.Input)); err != nil {
					return err.Error()
				}
				return "ok"
			}
			var out strings.Builder
			var r Record
			policy := policy
			if d.HasArg("test") {
				policy = policy.WithTest()
			}
			for line := range strings.Lines(d.Input) {
				e := parse(t, strings.TrimSpace(line))
				var effects []Effect
				r, effects = Apply(policy, r, e)
				if len(effects) > 0 {
					fmt.Fprintf(&out, "%s: %v, %s\n", strings.Fields(line)[0], effects, r.Describe())
				}
			}
			fmt.Fprintf(&out, "%s, in service %v", r.Describe(), r.InService())
			if d.HasArg("history") {
				for _, e := range r.History {
					fmt.Fprintf(&out, "\n%v %s %s", time.Duration(e.At)*time.Millisecond, e.Fault, e.State)
				}
			}
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
	rest := strings.Join(words[2:], " ")
	switch words[1] {
	case "raise":
		code, from, _ := strings.Cut(words[2], "@")
		return Raised{Code: code, From: from, Detail: strings.Join(words[3:], " "), At: at}
	case "clear":
		code, from, _ := strings.Cut(words[2], "@")
		return Cleared{Code: code, From: from, At: at}
	case "was-reset":
		return WasReset{Failed: rest, At: at}
	case "tested":
		return Tested{Failed: rest, At: at}
	case "ban", "ban-finish":
		return Banned{Reason: rest, Finish: words[1] == "ban-finish", At: at}
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
		codes := rapid.SampledFrom([]string{"pcie-narrow", "amd-not-answering", "amd-ras-uncorrectable", "fpga-golden-image", "amd-ras-correctable", "xid-94", "xid-79", "device-gone", "never-heard-of"})
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += model.Time(rapid.SampledFrom([]int64{0, 60_000, 1_200_000, 7_200_000}).Draw(t, "pause"))
			var e Event
			switch rapid.IntRange(0, 8).Draw(t, "kind") {
			case 0:
				e = Raised{Code: codes.Draw(t, "raised"), At: now}
			case 1:
				e = Cleared{Code: codes.Draw(t, "cleared"), At: now}
			case 2:
				e = Used{Busy: rapid.Bool().Draw(t, "busy"), At: now}
			case 3:
				e = Returned{At: now}
			case 4:
				e = WasReset{Failed: rapid.SampledFrom([]string{"", "stuck"}).Draw(t, "reset"), At: now}
			case 5:
				e = Tested{Failed: rapid.SampledFrom([]string{"", "wrong sum"}).Draw(t, "test"), At: now}
			case 6:
				e = Banned{Reason: "noise", Finish: rapid.Bool().Draw(t, "finish"), At: now}
			default:
				e = Passed{At: now}
			}
			before := r
			var effects []Effect
			r, effects = Apply(policy, r, e)
			switch {
			case before.State != r.State && len(effects) == 0:
				t.Fatalf("%v: %v becomes %v without a word", e, before, r)
			case r.State <= model.Healthy && r.Reason != "":
				t.Fatalf("healthy with a reason: %v", r)
			case r.State == model.Quarantined && !r.Busy && !r.Held:
				t.Fatalf("idle and not being repaired: %v", r)
			case r.Held && r.InService():
				t.Fatalf("held and in service: %v", r)
			case len(r.Past) > maxPast || len(r.Out) > maxPast || len(r.History) > maxHistory:
				t.Fatalf("too much is remembered: %v", r)
			case !slices.IsSortedFunc(r.History, func(a, b model.HealthEntry) int { return int(a.At - b.At) }):
				t.Fatalf("the history is out of order: %v", r.History)
			case before.State != r.State && r.History[len(r.History)-1].State != r.State:
				t.Fatalf("the history does not tell of %v: %v", r.State, r.History)
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
	p, err := Parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := p.Differences(); err != nil || len(lines) != 1 || lines[0] != "pcie-narrow: note, was suspect" {
		t.Errorf("it differs in %q, %v", lines, err)
	}
	if r, _ := Apply(p, Record{}, Raised{Code: "pcie-narrow"}); r.State > model.Healthy {
		t.Errorf("%v", r.Describe())
	}
}
