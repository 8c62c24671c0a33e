package train

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"

	"caravan/api/jobspec"
)

// The scenario file has one directive, job: options as arguments and the script's below it; it prints the job
// file, or the error.
func TestJobs(t *testing.T) {
	datadriven.RunTest(t, "testdata/jobs.txt", func(t *testing.T, d *datadriven.TestData) string {
		o := Options{Dir: "/home/ana/net", Script: "train.py", Python: "python3", Workers: 1, GPUs: "0", CPU: 4, Memory: "16GiB", Retries: 3}
		if d.Input != "" {
			o.Args = []string{d.Input}
		}
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "script":
				o.Script = a.Vals[0]
			case "workers":
				a.Scan(t, 0, &o.Workers)
			case "gpus":
				o.GPUs = a.Vals[0]
			case "gpu-memory":
				o.GPUMemory = a.Vals[0]
			case "per-node":
				o.PerNode = true
			case "sweep":
				o.Sweep = a.Vals
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
