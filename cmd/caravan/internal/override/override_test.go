package override_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/override"
)

// base is the job that every case changes.
const base = `
name: "ladder"
groups { name: "encode" variants { name: "cpu" } variants { name: "gpu" resources { cpu_milli: 1 } } }
groups { name: "mux" variants { name: "cpu" } }
`

func TestOneValueIsChanged(t *testing.T) {
	for assignment, want := range map[string]string{
		"name=other":        `name: "other"`,
		"queue=night":       `queue: "night"`,
		"priority=-5":       `priority: -5`,
		"labels.show=a=b":   `labels { key: "show" value: "a=b" }`,
		"encode.count=4":    `groups { name: "encode" indices { last: 3 step: 1 } }`,
		"encode.retries=2":  `groups { name: "encode" retries: 2 }`,
		"mux.time_limit=2h": `groups { name: "mux" time_limit_ms: 7200000 }`,
		"mux.env.A=b":       `groups { name: "mux" env { key: "A" value: "b" } }`,
		"env.A=b":           `groups { name: "encode" env { key: "A" value: "b" } }`,
		"encode.memory=2GiB": `groups { name: "encode" variants { resources { memory_mib: 2048 } }
			variants { resources { memory_mib: 2048 } } }`,
		"encode.array=1-9:2%3": `groups { name: "encode" max_running: 3 indices { first: 1 last: 9 step: 2 } }`,
	} {
		t.Run(assignment, func(t *testing.T) {
			spec, part := &pb.JobSpec{}, &pb.JobSpec{}
			if err := prototext.Unmarshal([]byte(base), spec); err != nil {
				t.Fatal(err)
			}
			if err := prototext.Unmarshal([]byte(want), part); err != nil {
				t.Fatal(err)
			}
			if err := override.Set(spec, assignment); err != nil {
				t.Fatal(err)
			}
			if !holds(spec, part) {
				t.Errorf("got %v, want in it %v", spec, part)
			}
		})
	}
}

// holds reports whether the job has everything that part says: putting part's
// values over it changes nothing.
func holds(spec, part *pb.JobSpec) bool {
	over := proto.CloneOf(spec)
	groups := part.Groups
	part.Groups = nil
	proto.Merge(over, part)
	for _, g := range groups {
		for _, o := range over.Groups {
			if o.Name != g.Name {
				continue
			}
			if g.Indices != nil {
				o.Indices = nil
			}
			for i, v := range g.Variants {
				proto.Merge(o.Variants[i], v)
			}
			g.Variants = nil
			proto.Merge(o, g)
		}
	}
	return proto.Equal(over, spec)
}

func TestWhatCannotBeSetIsRefused(t *testing.T) {
	for assignment, want := range map[string]string{
		"count":          `"count" is not PATH=VALUE, such as encode.count=4`,
		"audio.count=1":  `audio.count: the job has no group "audio"; it has encode, mux`,
		"mux.count=none": `mux.count: "none" is not a number of tasks`,
		"priority=high":  `priority: "high" is not a whole number`,
		"mux.memory=5":   `mux.memory: "5" has no unit (write a unit, as in 5GiB)`,
	} {
		spec := &pb.JobSpec{}
		if err := prototext.Unmarshal([]byte(base), spec); err != nil {
			t.Fatal(err)
		}
		if err := override.Set(spec, assignment); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", assignment, err, want)
		}
	}
}
