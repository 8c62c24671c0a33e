package taskref_test

import (
	"testing"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/taskref"
)

func TestTasksAreNamedByTheirIndices(t *testing.T) {
	names := taskref.Of(&pb.JobSpec{Groups: []*pb.TaskGroup{
		{Name: "encode", Indices: []*pb.IndexRange{{First: 1, Last: 9, Step: 2}}},
		{Name: "render", Chunk: 4, Indices: []*pb.IndexRange{{First: 1, Last: 9, Step: 1}}},
		{Name: "mux", Indices: []*pb.IndexRange{{}}},
	}})
	for allocation, want := range map[string]string{
		"l-1.encode.0.1": "encode[1]", "l-1.encode.4.2": "encode[9]", "l-1.render.1.1": "render[2]", "l-1.render.8.1": "render[9]",
		"l-1.mux.0.1": "mux", "l-1.encode.7.1": "encode#7", "l-1.other.3.1": "other#3", "strange": "strange", "a.b.c.d": "a.b.c.d",
	} {
		if got := names.Allocation(allocation); got != want {
			t.Errorf("%s: got %s, want %s", allocation, got, want)
		}
	}
	if names.Total() != 15 || names.Tasks("render") != 9 {
		t.Errorf("total %d, render %d", names.Total(), names.Tasks("render"))
	}
}

func TestWhatPeopleWriteForATask(t *testing.T) {
	for text, want := range map[string]string{"encode": "encode", "encode[3]": "encode 3", "encode/3": "encode 3", "shift[-2]": "shift -2"} {
		ref, err := taskref.Parse(text)
		got := ref.Group
		if ref.Index != nil {
			got += " " + map[int64]string{3: "3", -2: "-2"}[*ref.Index]
		}
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"encode[3": `task "encode[3" has no closing bracket`, "[3]": `task "[3]" names no group`, "": `task "" names no group`,
		"encode[x]": `task "encode[x]": "x" is not an index`, "encode/": `task "encode/": "" is not an index`,
	} {
		if _, err := taskref.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
