package nvidia

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// a100 are the profiles of an A100 40GB, by the Multi-Instance GPU User Guide.
func a100() []Profile {
	return []Profile{
		{ID: 0, Index: 4, Slices: 7, MemoryMiB: 40192, Most: 1, Starts: []int{0}, Size: 8},
		{ID: 5, Index: 3, Slices: 4, MemoryMiB: 20096, Most: 1, Starts: []int{0}, Size: 4},
		{ID: 9, Index: 2, Slices: 3, MemoryMiB: 20096, Most: 2, Starts: []int{0, 4}, Size: 4},
		{ID: 14, Index: 1, Slices: 2, MemoryMiB: 9856, Most: 3, Starts: []int{0, 2, 4}, Size: 2},
		{ID: 19, Index: 0, Slices: 1, MemoryMiB: 4864, Most: 7, Starts: []int{0, 1, 2, 3, 4, 5, 6}, Size: 1},
		{ID: 20, Index: 7, Slices: 1, MemoryMiB: 4864, Most: 1, Starts: []int{0, 1, 2, 3, 4, 5, 6}, Size: 1, Media: true},
	}
}

// instance is one of a profile that exists.
func instance(id int, p Profile, start int) Instance {
	return Instance{ID: id, Profile: p.ID, Start: start, Size: p.Size, Slices: p.Slices, UUID: fmt.Sprintf("MIG-%d", id), MemoryMiB: p.MemoryMiB}
}

func named(name string) Profile {
	all := a100()
	return all[slices.IndexFunc(all, func(p Profile) bool { return p.Name() == name })]
}

func TestAPlanLeadsToTheLayout(t *testing.T) {
	never := func(Instance) bool { return false }
	for name, tc := range map[string]struct {
		have []Instance
		want string
		busy []int
		// plan is what is destroyed, and what is made where.
		plan string
		err  string
	}{
		"from nothing":                     {want: "3g.20gb,3g.20gb", plan: "+3g.20gb@0 +3g.20gb@4"},
		"the larger ones first":            {want: "1g.5gb,2g.10gb,4g.20gb", plan: "+4g.20gb@0 +2g.10gb@4 +1g.5gb@6"},
		"seven small ones":                 {want: "1g.5gb,1g.5gb,1g.5gb,1g.5gb,1g.5gb,1g.5gb,1g.5gb", plan: "+1g.5gb@0 +1g.5gb@1 +1g.5gb@2 +1g.5gb@3 +1g.5gb@4 +1g.5gb@5 +1g.5gb@6"},
		"media engines exist once":         {want: "1g.5gb+me,1g.5gb", plan: "+1g.5gb+me@0 +1g.5gb@1"},
		"what is there already":            {have: []Instance{instance(1, named("3g.20gb"), 4)}, want: "3g.20gb", plan: ""},
		"what fits is kept":                {have: []Instance{instance(1, named("3g.20gb"), 4)}, want: "3g.20gb,2g.10gb", plan: "+2g.10gb@0"},
		"what is not wanted goes":          {have: []Instance{instance(1, named("1g.5gb"), 0), instance(2, named("3g.20gb"), 4)}, want: "3g.20gb", plan: "-1"},
		"kept ones move if they are idle":  {have: []Instance{instance(1, named("1g.5gb"), 0)}, want: "4g.20gb,1g.5gb", plan: "-1 +4g.20gb@0 +1g.5gb@4"},
		"and stay if they are in use":      {have: []Instance{instance(1, named("1g.5gb"), 0)}, want: "4g.20gb,1g.5gb", busy: []int{1}, err: "in use"},
		"an unwanted one in use is waited": {have: []Instance{instance(1, named("7g.40gb"), 0)}, want: "1g.5gb", busy: []int{1}, err: "in use"},
		"three of what exists twice":       {want: "3g.20gb,3g.20gb,3g.20gb", err: "do not fit"},
		"more slices than there are":       {want: "4g.20gb,3g.20gb,1g.5gb", err: "do not fit"},
		"a profile of another GPU":         {want: "1g.10gb", err: "no profile"},
	} {
		t.Run(name, func(t *testing.T) {
			busy := never
			if tc.busy != nil {
				busy = func(i Instance) bool { return slices.Contains(tc.busy, i.ID) }
			}
			got, err := planInstances(MIG{Profiles: a100(), Instances: tc.have}, strings.Split(tc.want, ","), busy)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%v, want an error with %q", err, tc.err)
				}
				return
			}
			var steps []string
			for _, i := range got.destroy {
				steps = append(steps, fmt.Sprintf("-%d", i.ID))
			}
			for _, c := range got.create {
				steps = append(steps, fmt.Sprintf("+%s@%d", c.profile.Name(), c.start))
			}
			if plan := strings.Join(steps, " "); err != nil || plan != tc.plan {
				t.Errorf("%q %v, want %q", plan, err, tc.plan)
			}
		})
	}
}

// TestNoPlanBreaksARule draws GPUs in any state and layouts, and carries the plan out.
func TestNoPlanBreaksARule(t *testing.T) {
	profiles := a100()
	rapid.Check(t, func(t *rapid.T) {
		pick := rapid.SampledFrom(profiles)
		have, _ := place(profiles, nil, rapid.SliceOfN(pick, 0, 4).Draw(t, "have"))
		m := MIG{Profiles: profiles}
		inUse := make(map[int]bool)
		for i, p := range have {
			m.Instances = append(m.Instances, instance(i, p.profile, p.start))
			inUse[i] = rapid.Bool().Draw(t, "in use")
		}
		var want []string
		for _, p := range rapid.SliceOfN(pick, 1, 5).Draw(t, "want") {
			want = append(want, p.Name())
		}
		todo, err := planInstances(m, want, func(i Instance) bool { return inUse[i.ID] })
		if err != nil {
			if !slices.Contains(slices.Collect(maps.Values(inUse)), true) && errors.Is(err, errInUse) {
				t.Fatalf("nothing is in use: %v", err)
			}
			return
		}
		left := slices.Clone(m.Instances)
		for _, gone := range todo.destroy {
			if inUse[gone.ID] {
				t.Fatalf("instance %d is destroyed and in use", gone.ID)
			}
			left = slices.DeleteFunc(left, func(i Instance) bool { return i.ID == gone.ID })
		}
		for _, c := range todo.create {
			left = append(left, instance(100+len(left), c.profile, c.start))
		}
		var memory uint64
		compute, made, wanted := 0, make(map[string]int), make(map[string]int)
		for _, i := range left {
			if memory&mask(i.Start, i.Size) != 0 || i.Start+i.Size > 8 {
				t.Fatalf("instances share memory: %+v", left)
			}
			memory |= mask(i.Start, i.Size)
			compute += i.Slices
			made[m.profile(i)]++
		}
		for _, name := range want {
			wanted[name]++
		}
		if compute > 7 || made["1g.5gb+me"] > 1 {
			t.Fatalf("%d slices of 7: %+v", compute, left)
		}
		for name := range wanted {
			if made[name] < wanted[name] {
				t.Fatalf("wanted %v, made %v", wanted, made)
			}
		}
		if !slices.ContainsFunc(left, func(i Instance) bool { return inUse[i.ID] }) && !maps.Equal(made, wanted) {
			t.Fatalf("wanted %v, made %v", wanted, made)
		}
	})
}

func TestALayoutNamesGPUsOnce(t *testing.T) {
	l, err := ParseLayout([]string{"*=1g.5gb, 1g.5gb", "GPU-1=", "0000:3b:00.0=7g.40gb"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		gpu  GPU
		want string
	}{
		{GPU{UUID: "GPU-1", PCI: "0000:3b:00.0"}, ""},
		{GPU{UUID: "GPU-2", PCI: "0000:3b:00.0"}, "7g.40gb"},
		{GPU{UUID: "GPU-3", PCI: "0000:3c:00.0"}, "1g.5gb,1g.5gb"},
	} {
		if got, covered := l.of(tc.gpu); !covered || strings.Join(got, ",") != tc.want {
			t.Errorf("GPU %s is to be %q, want %q", tc.gpu.UUID, got, tc.want)
		}
	}
	for _, wrong := range [][]string{{"1g.5gb"}, {"=1g.5gb"}, {"*=1g.5gb", "*="}} {
		if _, err := ParseLayout(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
