package jobspec

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"caravan/api/caravanv1"
)

// The generators below draw specs that Parse could have made: defaults filled
// in, conditions sorted, ranges on their stride.

var nameGen = rapid.StringMatching(`[a-z]([a-z0-9-]{0,10}[a-z0-9])?`)

// textGen draws texts that YAML finds difficult.
func textGen() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ -~]{1,30}`),
		rapid.StringMatching(`([a-z:#"' -]{0,8}\n){0,4}[a-z ]{1,5}\n?`),
		rapid.SampledFrom([]string{
			"true", "null", "~", "12", "0x1F", "1e3", "1:30:00", "- a", "a: b", "#", "!x", "*", "&a", "%", "@", "`",
			"exists", "=x", "''", "'8'", "{a}", "[a]", "é\u2028ü", "\t", "a\tb", "\r\n", "<<", "---", "...", "no", ".5", "😀 x",
		}),
		rapid.String(),
	).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
}

func commandGen() *rapid.Generator[[]string] {
	return rapid.OneOf(
		rapid.Map(textGen().Filter(func(s string) bool { return strings.TrimSpace(s) != "" }), shellArgv),
		rapid.SliceOfN(textGen().Filter(func(s string) bool { return s != "" }), 1, 5),
	)
}

func textsGen(key *rapid.Generator[string]) *rapid.Generator[map[string]string] {
	return rapid.Custom(func(t *rapid.T) map[string]string {
		m := rapid.MapOfN(key, rapid.OneOf(rapid.Just(""), textGen()), 0, 4).Draw(t, "texts")
		if len(m) == 0 {
			return nil
		}
		return m
	})
}

func rangesGen() *rapid.Generator[[]*caravanv1.IndexRange] {
	return rapid.Custom(func(t *rapid.T) []*caravanv1.IndexRange {
		var ranges []*caravanv1.IndexRange
		next := int64(0)
		for range rapid.IntRange(1, 4).Draw(t, "ranges") {
			first := next + rapid.Int64Range(0, 50).Draw(t, "gap")
			step := rapid.Int64Range(1, 5).Draw(t, "step")
			last := first + step*rapid.Int64Range(0, 40).Draw(t, "length")
			next = last + 1
			switch {
			case first == last:
				step = 1
			case rapid.Bool().Draw(t, "down"):
				first, last, step = last, first, -step
			}
			ranges = append(ranges, &caravanv1.IndexRange{First: first, Last: last, Step: step})
		}
		return ranges
	})
}

func constraintsGen(attributes ...string) *rapid.Generator[[]*caravanv1.Constraint] {
	return rapid.Custom(func(t *rapid.T) []*caravanv1.Constraint {
		var terms []term
		for _, attribute := range rapid.SliceOfNDistinct(rapid.SampledFrom(attributes), 0, 4, rapid.ID).Draw(t, "attributes") {
			operators := []caravanv1.Operator{caravanv1.Operator_OPERATOR_IN}
			if rapid.Bool().Draw(t, "other than in") {
				operators = rapid.SliceOfNDistinct(rapid.SampledFrom([]caravanv1.Operator{2, 3, 4, 5, 6, 7}), 1, 3, rapid.ID).Draw(t, "operators")
			}
			for _, operator := range operators {
				if textAttribute(attribute) && signOf(operator) != "" {
					continue
				}
				terms = append(terms, term{constraint: constraintOf(t, attribute, operator)})
			}
		}
		sortTerms(terms)
		var constraints []*caravanv1.Constraint
		for _, term := range terms {
			constraints = append(constraints, term.constraint)
		}
		return constraints
	})
}

func constraintOf(t *rapid.T, attribute string, operator caravanv1.Operator) *caravanv1.Constraint {
	c := &caravanv1.Constraint{Attribute: attribute, Operator: operator}
	milli := rapid.Map(rapid.Int64Range(0, 1<<40), number)
	text := rapid.Map(textGen().Filter(func(s string) bool { return s != "" }), func(s string) *caravanv1.AttributeValue {
		return &caravanv1.AttributeValue{Value: &caravanv1.AttributeValue_Text{Text: s}}
	})
	switch {
	case operator == caravanv1.Operator_OPERATOR_EXISTS:
	case signOf(operator) != "":
		c.Values = []*caravanv1.AttributeValue{milli.Draw(t, "operand")}
	case textAttribute(attribute):
		c.Values = rapid.SliceOfN(text, 1, 3).Draw(t, "texts")
	default:
		c.Values = rapid.SliceOfN(rapid.OneOf(milli, text), 1, 3).Draw(t, "values")
	}
	return c
}

// whereGen draws an expression or none.
func whereGen(texts ...string) *rapid.Generator[[]*caravanv1.Constraint] {
	return rapid.Custom(func(t *rapid.T) []*caravanv1.Constraint {
		if rapid.Bool().Draw(t, "no expression") {
			return nil
		}
		return []*caravanv1.Constraint{{Attribute: rapid.SampledFrom(texts).Draw(t, "expression"), Operator: caravanv1.Operator_OPERATOR_WHERE}}
	})
}

func resourcesGen() *rapid.Generator[*caravanv1.Resources] {
	return rapid.Custom(func(t *rapid.T) *caravanv1.Resources {
		r := &caravanv1.Resources{
			CpuMilli:  rapid.Int64Range(1, maxCPUMilli).Draw(t, "cpu"),
			MemoryMib: rapid.Int64Range(1, maxMemoryMiB).Draw(t, "memory"),
			DiskMib:   rapid.Int64Range(0, maxDiskMiB).Draw(t, "disk"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "devices") {
			d := &caravanv1.DeviceRequest{
				Kind:  rapid.SampledFrom([]string{"gpu", "fpga"}).Draw(t, "kind"),
				Count: 1, Thousandths: rapid.Int32Range(1, 1000).Draw(t, "thousandths"),
				MemoryMib:   rapid.Int64Range(0, 1<<20).Draw(t, "device memory"),
				Constraints: constraintsGen("memory", "vendor", "model", "fp64_tflops", "ecc", "mig").Draw(t, "device constraints"),
			}
			switch {
			case d.GetKind() == "fpga":
				d.Image = rapid.SampledFrom([]string{"", "h264", "#x", "true"}).Draw(t, "image")
			case rapid.Bool().Draw(t, "video"):
				d.EncoderSessions = rapid.Int32Range(0, maxSessions).Draw(t, "sessions")
				d.EncodeMilli = rapid.Int32Range(0, maxEngines).Draw(t, "encode")
				d.DecodeMilli = rapid.Int32Range(0, maxEngines).Draw(t, "decode")
			}
			d.Constraints = append(d.Constraints, whereGen(`device.memory >= 12 * GiB`, `device.vendor == "amd"`).Draw(t, "where")...)
			if d.GetThousandths() == 1000 {
				d.Count = rapid.Int32Range(1, 16).Draw(t, "count")
			}
			r.Devices = append(r.Devices, d)
		}
		return r
	})
}

func variantGen(name string, alone bool) *rapid.Generator[*caravanv1.Variant] {
	return rapid.Custom(func(t *rapid.T) *caravanv1.Variant {
		v := &caravanv1.Variant{
			Name: name, Driver: defaultDriver, SpeedPermille: defaultSpeed,
			Command: commandGen().Draw(t, "command"), Resources: resourcesGen().Draw(t, "resources"),
			SetupMs: rapid.Int64Range(0, maxSetup).Draw(t, "setup"),
		}
		if rapid.Bool().Draw(t, "sim") {
			v.Driver = "sim"
			v.SimDurationMs = rapid.Int64Range(0, 1<<32).Draw(t, "duration")
			v.SimExitCode = rapid.Int32Range(0, 255).Draw(t, "exit code")
		}
		if !alone {
			v.SpeedPermille = rapid.Int32Range(1, 1_000_000).Draw(t, "speed")
			v.Constraints = append(constraintsGen("family", "zone", "cc").Draw(t, "constraints"), whereGen("node.cpu > 4.0", "true").Draw(t, "where")...)
			v.Env = textsGen(rapid.StringMatching(`[A-Z_]{1,5}`)).Draw(t, "env")
		}
		return v
	})
}

func matrixGen() *rapid.Generator[[]*caravanv1.Axis] {
	return rapid.Custom(func(t *rapid.T) []*caravanv1.Axis {
		var axes []*caravanv1.Axis
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"lr", "seed", "Batch_2", "n"}), 1, 3, rapid.ID).Draw(t, "axes") {
			a := &caravanv1.Axis{Name: name}
			if rapid.Bool().Draw(t, "numbers") {
				a = &caravanv1.Axis{Name: name, Range: rapid.SampledFrom([]*caravanv1.IndexRange{
					{First: 0, Last: 9, Step: 1}, {First: 9, Last: -3, Step: -3}, {First: -5, Last: -5, Step: 1},
				}).Draw(t, "range")}
			} else {
				a.Values = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"0.1", "1e-3", "yes", "", "a b", "${x}", "- :"}), 1, 4, rapid.ID).Draw(t, "values")
			}
			axes = append(axes, a)
		}
		return axes
	})
}

// conditionsGen draws what is written; succeeded is left out.
var conditionsGen = rapid.SampledFrom([]caravanv1.DependencyCondition{0, 0, caravanv1.DependencyCondition_DEPENDENCY_CONDITION_ENDED, caravanv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED})

// attemptsGen draws what a group says of the order and the ends of its attempts.
func attemptsGen(t *rapid.T, g *caravanv1.TaskGroup) {
	g.Order = rapid.SampledFrom([]caravanv1.TaskOrder{0, caravanv1.TaskOrder_TASK_ORDER_REVERSE, caravanv1.TaskOrder_TASK_ORDER_FIRST_MIDDLE_LAST}).Draw(t, "order")
	if rapid.IntRange(0, 3).Draw(t, "auto chunk") == 0 && len(g.GetMatrix()) == 0 {
		g.Chunk, g.AutoChunk = 1, true
	}
	if rapid.Bool().Draw(t, "exit codes") {
		g.ExitCodes = &caravanv1.ExitCodes{Requeue: []int32{33, 40}, Fatal: []int32{rapid.Int32Range(1, 32).Draw(t, "fatal")}}
	}
	g.RetryBackoffMs = rapid.Int64Range(0, maxBackoff).Draw(t, "backoff")
	if rapid.Bool().Draw(t, "avoid") {
		g.AvoidAfter, g.AvoidForMs = rapid.Int32Range(1, maxRetries).Draw(t, "after"), rapid.Int64Range(1, maxTimeMillis).Draw(t, "for")
	}
	g.NoOutputTimeoutMs = rapid.Int64Range(0, maxTimeMillis).Draw(t, "no output")
	if g.GetTimeLimitMs() == 0 {
		g.MinRuntimeMs = rapid.Int64Range(0, maxTimeMillis).Draw(t, "min runtime")
	}
	if rapid.Bool().Draw(t, "learns") {
		g.MaxMemoryMib = maxMemoryMiB
	}
	if rapid.Bool().Draw(t, "limits") {
		g.Limits = map[string]int64{"maya": rapid.Int64Range(1, maxLimitCount).Draw(t, "maya"), "io": 2}
	}
}

func groupGen(name string, before []*caravanv1.TaskGroup) *rapid.Generator[*caravanv1.TaskGroup] {
	return rapid.Custom(func(t *rapid.T) *caravanv1.TaskGroup {
		g := &caravanv1.TaskGroup{
			Name: name, Indices: rangesGen().Draw(t, "indices"), Chunk: rapid.Int32Range(1, 10).Draw(t, "chunk"),
			MaxRunning:  rapid.Int32Range(0, 10).Draw(t, "max running"),
			Constraints: constraintsGen("family", "zone", "rack", "cores", "memory", "note", "gpu/arch").Draw(t, "constraints"),
			Env:         textsGen(rapid.StringMatching(`[A-Za-z_][A-Z0-9_]{0,5}`)).Draw(t, "env"),
			TimeLimitMs: rapid.Int64Range(0, maxTimeMillis).Draw(t, "time limit"),
			Retries:     rapid.Int32Range(0, maxRetries).Draw(t, "retries"),
			KillGraceMs: rapid.Int64Range(1, maxGrace).Draw(t, "kill grace"),
			SameVariant: rapid.Bool().Draw(t, "same variant"),
			Workdir:     rapid.SampledFrom([]string{"", "/", "/data/a b", "/x: y"}).Draw(t, "workdir"),
			Isolation:   rapid.SampledFrom([]string{"", "host", "standard", "strict"}).Draw(t, "isolation"),
			Once:        rapid.SampledFrom([]string{"", "at_most"}).Draw(t, "once"),
		}
		g.Constraints = append(g.Constraints, whereGen("node.cpu >= 4 &&\n  node.zone == \"a\"", `node.rack == "#: x"`).Draw(t, "where")...)
		g.Exclusive = rapid.Bool().Draw(t, "exclusive")
		for _, over := range rapid.SliceOfNDistinct(rapid.SampledFrom([]caravanv1.Domain{1, 2, 3}), 0, 3, rapid.ID).Draw(t, "spread") {
			g.Spread = append(g.Spread, &caravanv1.Spread{Over: over, MaxSkew: rapid.Int32Range(1, MaxTasks).Draw(t, "skew")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "apart") {
			rule := rapid.SampledFrom([]*caravanv1.Apart{{}, {Job: "db-1"}, {Label: "a/b"}, {Label: "tier", WithValue: true, Value: "x: y=#"}}).Draw(t, "from")
			g.ApartFrom = append(g.ApartFrom, &caravanv1.Apart{
				Job: rule.GetJob(), Label: rule.GetLabel(), WithValue: rule.GetWithValue(), Value: rule.GetValue(),
				Over: rapid.SampledFrom([]caravanv1.Domain{1, 2, 3}).Draw(t, "over"),
			})
		}
		attemptsGen(t, g)
		if rapid.Bool().Draw(t, "gang") {
			g.Order, g.AutoChunk = 0, false
			g.Gang, g.Chunk, g.MaxRunning, g.Once = true, 1, 0, ""
			g.PerNode = rapid.Bool().Draw(t, "a task a node")
		} else if rapid.IntRange(0, 3).Draw(t, "sweep") == 0 {
			g.Chunk, g.AutoChunk, g.Matrix = 1, false, matrixGen().Draw(t, "matrix")
			points := int64(1)
			for _, a := range g.Matrix {
				points *= axisLen(a)
			}
			g.Indices = countRange(points)
		}
		if rapid.Bool().Draw(t, "verify") {
			g.Verify = commandGen().Draw(t, "verify")
		}
		for range rapid.IntRange(0, 2).Draw(t, "outputs") {
			g.Outputs = append(g.Outputs, &caravanv1.Output{
				Path: rapid.StringMatching(`[a-z#:*"]{1,5}\.png`).Draw(t, "path"), To: rapid.StringMatching(`/[a-z #"]{0,5}/`).Draw(t, "to"),
			})
		}
		for _, other := range before {
			if rapid.Bool().Draw(t, "depends") {
				_, missing := firstMissing(g.GetIndices(), other.GetIndices())
				g.DependsOn = append(g.DependsOn, &caravanv1.Dependency{Group: other.GetName(), Each: !missing, Condition: conditionsGen.Draw(t, "condition")})
			}
		}
		if rapid.Bool().Draw(t, "one way") {
			g.Variants = []*caravanv1.Variant{variantGen(defaultVariant, true).Draw(t, "variant")}
			return g
		}
		for _, name := range rapid.SliceOfNDistinct(nameGen, 1, 3, rapid.ID).Draw(t, "variants") {
			g.Variants = append(g.Variants, variantGen(name, false).Draw(t, "variant"))
		}
		return g
	})
}

func specGen() *rapid.Generator[*caravanv1.JobSpec] {
	return rapid.Custom(func(t *rapid.T) *caravanv1.JobSpec {
		spec := &caravanv1.JobSpec{
			Name: nameGen.Draw(t, "name"), Queue: rapid.OneOf(rapid.Just(defaultQueue), nameGen).Draw(t, "queue"),
			Priority: rapid.Int32Range(-1000, 1000).Draw(t, "priority"),
			Labels:   textsGen(rapid.StringMatching(`[a-z0-9]([a-z0-9./-]{0,5}[a-z0-9])?`)).Draw(t, "labels"),
		}
		if rapid.Bool().Draw(t, "sync") {
			spec.Workspace = &caravanv1.Workspace{Path: rapid.SampledFrom([]string{".", "../src", "/a b", "#"}).Draw(t, "directory")}
		}
		names := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Just(defaultGroup), nameGen), 1, 3, rapid.ID).Draw(t, "names")
		for _, name := range names {
			spec.Groups = append(spec.Groups, groupGen(name, spec.GetGroups()).Draw(t, "group"))
		}
		return spec
	})
}

func TestParseGivesBackWhatRenderWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := specGen().Draw(t, "spec")
		text := Render(spec)
		f, err := Parse("job.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !proto.Equal(f.Spec, spec) {
			t.Fatalf("wrote\n%s\nread\n%s\nfrom\n%s", protoText(spec), protoText(f.Spec), text)
		}
		if again := Render(f.Spec); string(again) != string(text) {
			t.Fatalf("the canonical form has two forms:\n%s\n%s", text, again)
		}
	})
}

// A message made by hand may leave fields unset; they come back as defaults.
func TestUnsetFieldsComeBackAsDefaults(t *testing.T) {
	f, err := Parse("job.yaml", Render(&caravanv1.JobSpec{
		Name: "x", Groups: []*caravanv1.TaskGroup{{
			Name: "main", Indices: []*caravanv1.IndexRange{{Step: 1}},
			Variants: []*caravanv1.Variant{{Name: "default", Command: []string{"true"}}},
		}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse("job.yaml", []byte("name: x\ncommand: ['true']\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(f.Spec, want.Spec) {
		t.Errorf("got\n%s\nwant\n%s", protoText(f.Spec), protoText(want.Spec))
	}
}

func TestScalarsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<40).Draw(t, "n")
		for _, c := range []struct {
			name   string
			format func(int64) string
			parse  func(string) (int64, error)
		}{{"size", formatSize, ParseSize}, {"duration", formatDuration, ParseDuration}, {"cpu", formatMilli, ParseCPU}} {
			if got, err := c.parse(c.format(n)); err != nil || got != n {
				t.Fatalf("%s %d is written %s and read %d, %v", c.name, n, c.format(n), got, err)
			}
		}
		ranges := rangesGen().Draw(t, "ranges")
		got, _, err := ParseArray(formatArray(ranges))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(ranges) {
			t.Fatalf("%v is read %v, %v", ranges, got, err)
		}
	})
}
