package truth

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

func evaluator(t testing.TB) *Evaluator {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// asking returns a job with expressions on nodes and on devices.
func asking(onNode, onDevice string) *model.Job {
	g := model.TaskGroup{Variants: []model.Variant{{}}}
	if onNode != "" {
		g.Constraints = []model.Constraint{{Attribute: onNode, Operator: model.Where}}
	}
	if onDevice != "" {
		on := []model.Constraint{{Attribute: onDevice, Operator: model.Where}}
		g.Variants[0].Resources.Devices = []model.DeviceRequest{{Kind: model.KindGPU, Constraints: on}}
	}
	return &model.Job{Spec: &model.JobSpec{Groups: []model.TaskGroup{g}}}
}

func fleet() []*model.Node {
	gpu := model.Device{ID: "gpu0", Kind: model.KindGPU, Model: "P100", MemoryMiB: 16 << 10, Thousandths: 1000, Attributes: map[string]model.Attribute{"fp64_tflops": model.Milli(4700)}}
	return []*model.Node{
		{Name: "a", Family: "gn5", CPUMilli: 56_000, MemoryMiB: 240 << 10, Devices: []model.Device{gpu}, Attributes: map[string]model.Attribute{"licences": model.Milli(2000), "driver": model.Text("535")}},
		{Name: "b", Family: "c4", CPUMilli: 4000, MemoryMiB: 8 << 10},
		{Name: "c", Family: "c4", CPUMilli: 4000, MemoryMiB: 8 << 10},
	}
}

func TestWhatIsTrueOfWhom(t *testing.T) {
	e := evaluator(t)
	for _, c := range []struct {
		text string
		want string
	}{
		{`node.family == "c4"`, "bc"},
		{`node.cpu > 4.0 && node.memory == 240 * GiB`, "a"},
		{`node.name == "b"`, "b"},
		{`node.numbers["licences"] >= 2.0`, "a"},
		{`node.attributes.driver == "535"`, "a"},
		{`node.devices.exists(d, d.fp64_tflops > 4.0 && d.share == 1.0)`, "a"},
		{`node.nothing == 1`, ""},
	} {
		got := ""
		for _, n := range e.Fill(fleet(), []*model.Job{asking(c.text, "")}) {
			condition := model.Constraint{Attribute: c.text, Operator: model.Where}
			if a, ok := n.Attribute(c.text); condition.Holds(a, ok) {
				got += n.Name
			}
		}
		if got != c.want {
			t.Errorf("%s holds of %q, want %q", c.text, got, c.want)
		}
	}
}

func TestDevicesHaveTruthsOfTheirOwn(t *testing.T) {
	const text = `device.model == "P100" && device.memory >= 12 * GiB`
	nodes := fleet()
	out := evaluator(t).Fill(nodes, []*model.Job{asking("", text)})
	if a, ok := out[0].Devices[0].Attribute(text); !ok || a != model.Text("true") {
		t.Errorf("%v, %v", a, ok)
	}
	if nodes[0].Truths != nil || nodes[0].Devices[0].Truths != nil {
		t.Error("the nodes of the state were changed")
	}
}

// TestNodesStayTheSameValue until they register anew or another expression
// comes: the core keeps what it knows of a node by its value.
func TestNodesStayTheSameValue(t *testing.T) {
	e, nodes := evaluator(t), fleet()
	if got := e.Fill(nodes, []*model.Job{asking("", "")}); !slices.Equal(got, nodes) {
		t.Error("without expressions the nodes are others")
	}
	jobs := []*model.Job{asking(`node.family == "c4"`, "")}
	first := e.Fill(nodes, jobs)
	if !slices.Equal(first, e.Fill(nodes, jobs)) {
		t.Error("asked again, the nodes are others")
	}
	changed := slices.Clone(nodes)
	changed[1] = changed[1].Clone()
	changed[1].Family = "gn5"
	second := e.Fill(changed, jobs)
	if second[0] != first[0] || second[1] == first[1] || second[1].Truths[`node.family == "c4"`] {
		t.Error("only the node that registered anew should be another")
	}
	third := e.Fill(changed, []*model.Job{asking("node.cpu > 4.0", "")})
	if third[0] == second[0] || third[0].Truths["node.cpu > 4.0"] != true {
		t.Error("a new expression was not evaluated")
	}
	if fourth := e.Fill(changed, jobs); !slices.Equal(fourth, third) {
		t.Error("an expression that is known already made the nodes others")
	}
}

func TestAlikeNodesShareTheirTruths(t *testing.T) {
	out := evaluator(t).Fill(fleet(), []*model.Job{asking("node.cpu > 4.0", "")})
	if reflect.ValueOf(out[1].Truths).Pointer() != reflect.ValueOf(out[2].Truths).Pointer() {
		t.Error("two nodes that are alike were evaluated apart")
	}
}

// TestTheMemoryIsBounded: expressions and nodes that are gone are forgotten.
func TestTheMemoryIsBounded(t *testing.T) {
	e := evaluator(t)
	for i := range 3 * MaxKept {
		nodes := []*model.Node{{Name: fmt.Sprintf("n%d", i)}}
		e.Fill(nodes, []*model.Job{asking(fmt.Sprintf("node.cpu > %d.0", i), "")})
	}
	if n := len(e.texts[0]); n > MaxKept+1 {
		t.Errorf("%d expressions are remembered", n)
	}
	if n := len(e.nodes); n > 70 {
		t.Errorf("%d nodes are remembered", n)
	}
}

// TestRememberingChangesNothing: a used evaluator says what a new one says.
func TestRememberingChangesNothing(t *testing.T) {
	texts := rapid.SampledFrom([]string{`node.family == "c4"`, "node.cpu > 4.0", `node.name != "a"`, "size(node.devices) > 0", "broken("})
	rapid.Check(t, func(t *rapid.T) {
		used, err := New()
		if err != nil {
			t.Fatal(err)
		}
		nodes := fleet()
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
			n := nodes[i].Clone()
			n.CPUMilli = rapid.SampledFrom([]int64{2000, 8000}).Draw(t, "cores")
			nodes = slices.Clone(nodes)
			nodes[i] = n
			text := texts.Draw(t, "expression")
			fresh, err := New()
			if err != nil {
				t.Fatal(err)
			}
			got, want := used.Fill(nodes, []*model.Job{asking(text, "")}), fresh.Fill(nodes, []*model.Job{asking(text, "")})
			for k := range want {
				if got[k].Truths[text] != want[k].Truths[text] {
					t.Fatalf("%s of %s: %v, want %v", text, nodes[k].Name, maps.Clone(got[k].Truths), want[k].Truths)
				}
			}
		}
	})
}

func TestFaultsAreNamedByTheirPath(t *testing.T) {
	e := evaluator(t)
	spec := asking("node.nothing == 1", "device.cpu > 3").Spec
	spec.Groups[0].Variants[0].Constraints = []model.Constraint{
		{Attribute: "family", Operator: model.In, Values: []model.Attribute{model.Text("c4")}}, {Attribute: "node.cpu", Operator: model.Where},
	}
	var paths []string
	for _, f := range e.Check(spec) {
		if f.Message == "" || f.Hint == "" {
			t.Errorf("%+v says too little", f)
		}
		paths = append(paths, f.Path)
	}
	want := []string{"groups[0].constraints[0]", "groups[0].variants[0].constraints[1]", "groups[0].variants[0].resources.devices[0].constraints[0]"}
	if !slices.Equal(paths, want) {
		t.Errorf("faults at %v, want %v", paths, want)
	}
	if faults := e.Check(asking("node.cpu > 4.0", "").Spec); faults != nil {
		t.Errorf("%v", faults)
	}
}

func BenchmarkTenThousandKnownNodes(b *testing.B) {
	e := evaluator(b)
	var nodes []*model.Node
	for i := range 10_000 {
		nodes = append(nodes, &model.Node{Name: fmt.Sprintf("n%05d", i), CPUMilli: int64(i%20) * 1000})
	}
	jobs := []*model.Job{asking("node.cpu > 4.0", "")}
	for b.Loop() {
		e.Fill(nodes, jobs)
	}
}
