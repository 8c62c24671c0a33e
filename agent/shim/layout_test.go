package shim

import (
	"testing"

	"caravan/agent/driver"
)

func TestATasksControlGroupNamesItsAllocation(t *testing.T) {
	s := specFile{AllocSpec: driver.AllocSpec{ID: "my-job-7.main.0.1", Dir: "/var/lib/caravan/allocs/my-job-7.main.0.1"}, CgroupParent: "/caravan"}
	for group, want := range map[string]string{
		s.taskGroup():                          s.ID,
		"/docker/abc" + s.taskGroup() + "/sub": s.ID,
		"/caravan/shim":                        "",
		"/user.slice/task-force":               "",
		"/caravan/task-":                       "",
		"/caravan/task--12345678":              "",
		"":                                     "",
	} {
		if got, ok := TaskOfGroup(group); got != want || ok != (want != "") {
			t.Errorf("%q is of %q, %v; want %q", group, got, ok, want)
		}
	}
}
