package core_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the files in testdata, which are the specification of
// Solve. After a change run it with -rewrite and read the difference: keep it
// only if every line of it is understood and wanted.
//
// Commands (see world_test.go):
//
//	nodes NAME [count=N] key=value ...   add a node, or NAME-1 ... NAME-N
//	node NAME drain|undrain|lose|return|remove|sick=DEVICE|heal=DEVICE
//	queue NAME [parent=] [cpu=] [memory=] [devices=]
//	job NAME [queue=] [priority=]        body: groups and, indented, variants
//	solve [placements=N] [steps=N]       decide, and show the plan
//	explain [job=NAME]                   show the whole trace of the last decision
//	why-there JOB GROUP TASK [next=N]    compare the node of a running task with the others
//	apply                                carry out the last plan
//	finish|fail|lose JOB GROUP TASKS     end running tasks: succeed, fail, or wait again
//	free                                 show what every node has left
//	dry-run, fits-empty                  body as for job
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			out := w.run(d)
			if out != "" && !strings.HasSuffix(out, "\n") {
				out += "\n"
			}
			return out
		})
	})
}
