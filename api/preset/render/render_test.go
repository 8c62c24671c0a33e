package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"caravan/api/jobspec"
)

// The scenario file has one directive, job: options as arguments; it prints the job file, or the error.
func TestJobs(t *testing.T) {
	datadriven.RunTest(t, "testdata/jobs.txt", func(t *testing.T, d *datadriven.TestData) string {
		o := Options{Scene: "/data/shot.blend", Out: "/out", Chunk: "auto", Order: "forward", Devices: Devices(), CPU: 4, Memory: "4GiB"}
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "scene":
				o.Scene = a.Vals[0]
			case "frames":
				o.Frames = strings.Join(a.Vals, ",")
			case "devices":
				o.Devices = a.Vals
			case "limits":
				o.Limits = a.Vals
			case "memory":
				o.Memory = a.Vals[0]
			case "size":
				a.Scan(t, 0, &o.Width)
				a.Scan(t, 1, &o.Height)
			case "movie":
				a.Scan(t, 0, &o.Movie)
			case "denoise":
				o.Denoise = true
			default:
				d.Fatalf(t, "no argument %s", a.Key)
			}
		}
		text, err := Job(o)
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		if _, err := jobspec.Parse("job.yaml", text); err != nil {
			t.Errorf("%s: what was written is no job file: %v", d.Pos, err)
		}
		return string(text)
	})
}
