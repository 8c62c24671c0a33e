package blackhole

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

// TestScenarios tells of ends, a line each: TIME JOB NODE[/DEVICE...] well | bad [RAN]. Output is
// what each proves.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "parse" {
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					p, err := Parse(strings.TrimSpace(line))
					fmt.Fprintf(&out, "%+v %v\n", p, err)
				}
				return out.String()
			}
			detector := New(Default())
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				w := strings.Fields(line)
				for _, v := range detector.Observe(end(t, w)) {
					fmt.Fprintf(&out, "%s: %s %s: %s\n", w[0], v.Node, v.Device, v.Reason)
				}
			}
			if out.Len() == 0 {
				return "nothing"
			}
			return out.String()
		})
	})
}

func end(t *testing.T, w []string) End {
	t.Helper()
	span := func(text string) int64 {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d.Milliseconds()
	}
	at := strings.Split(w[2], "/")
	e := End{At: model.Time(span(w[0])), Job: w[1], Node: at[0], Devices: at[1:], Well: w[3] == "well", Ran: model.Second}
	if len(w) > 4 {
		e.Ran = model.Duration(span(w[4]))
	}
	return e
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New(Default())
		now := model.Time(0)
		for range 200 {
			now += model.Time(rapid.Int64Range(0, 600_000).Draw(t, "pause"))
			e := End{
				At: now, Job: fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "job")), Node: fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "node")),
				Well: rapid.Bool().Draw(t, "well"),
			}
			d.Observe(e)
			for p, ends := range d.places {
				if len(ends) > d.policy.Of {
					t.Fatalf("%d ends of %v", len(ends), p)
				}
			}
			if len(d.jobs[e.Job]) > maxNodes {
				t.Fatalf("%d ends of %s", len(d.jobs[e.Job]), e.Job)
			}
		}
		d.tidy(now + model.Time(model.Day))
		if len(d.places)+len(d.jobs) != 0 {
			t.Fatalf("after a day %d places and %d jobs are remembered", len(d.places), len(d.jobs))
		}
	})
}
