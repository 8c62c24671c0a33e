package core_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"caravan/scheduler/model"
)

// The small text form of jobs and nodes. Amounts are written as users write
// them: cores and shares as decimals, memory with a unit.

// fields splits key=value words; a word without = is a key alone.
func fields(words []string) (keys []string, value map[string]string) {
	value = make(map[string]string)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		keys = append(keys, k)
		value[k] = v
	}
	return keys, value
}

func milli(s string) int64 {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("not a decimal: %q", s))
	}
	n *= 1000
	if frac != "" {
		f, err := strconv.ParseInt((frac + "000")[:3], 10, 64)
		if err != nil {
			panic(fmt.Sprintf("not a decimal: %q", s))
		}
		n += f
	}
	return n
}

func mib(s string) int64 {
	for i, unit := range []string{"MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			return number(n) << (10 * i)
		}
	}
	panic(fmt.Sprintf("not an amount of memory: %q", s))
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("not a whole number: %q", s))
	}
	return n
}

// constraints reads "family:ga1|gn5,memory:>=12GiB,rack:!r1,zone:*".
func constraints(s string) []model.Constraint {
	var out []model.Constraint
	for part := range strings.SplitSeq(s, ",") {
		name, rest, _ := strings.Cut(part, ":")
		out = append(out, constraint(name, rest))
	}
	return out
}

func constraint(name, rest string) model.Constraint {
	c := model.Constraint{Attribute: name, Operator: model.In}
	if rest == "*" {
		c.Operator = model.Exists
		return c
	}
	for _, o := range []struct {
		sign string
		op   model.Operator
	}{{">=", model.AtLeast}, {"<=", model.AtMost}, {">", model.Above}, {"<", model.Below}, {"!", model.NotIn}} {
		if r, ok := strings.CutPrefix(rest, o.sign); ok {
			c.Operator, rest = o.op, r
			break
		}
	}
	for v := range strings.SplitSeq(rest, "|") {
		c.Values = append(c.Values, attribute(v))
	}
	return c
}

func attribute(v string) model.Attribute {
	switch {
	case strings.HasSuffix(v, "iB"):
		return model.Milli(mib(v) * 1000)
	case v != "" && v[0] >= '0' && v[0] <= '9':
		return model.Milli(milli(v))
	}
	return model.Text(v)
}

// domain reads node, rack or zone.
func domain(s string) model.Domain {
	for d := model.DomainNode; d <= model.DomainZone; d++ {
		if d.String() == s {
			return d
		}
	}
	panic("no such domain: " + s)
}

// apart reads "self", "job:NAME", "label:KEY" or "label:KEY:VALUE", each with
// an @DOMAIN unless it is over nodes.
func apart(s string) model.Apart {
	what, over, ok := strings.Cut(s, "@")
	a := model.Apart{Over: model.DomainNode}
	if ok {
		a.Over = domain(over)
	}
	switch parts := strings.Split(what, ":"); parts[0] {
	case "job":
		a.Job = parts[1]
	case "label":
		a.Label = parts[1]
		if len(parts) > 2 {
			a.Value, a.WithValue = parts[2], true
		}
	}
	return a
}

// indices reads "1-250:2,300"; a descending range runs downwards.
func indices(s string) []model.Range {
	var out []model.Range
	for part := range strings.SplitSeq(s, ",") {
		span, by, stepped := strings.Cut(part, ":")
		first, last, isRange := strings.Cut(span, "-")
		r := model.Range{First: number(first), Step: 1}
		r.Last = r.First
		if stepped {
			r.Step = number(by)
		}
		if isRange {
			r.Last = number(last)
		}
		if r.Last < r.First {
			r.Step = -r.Step
		}
		r.Last -= (r.Last - r.First) % r.Step
		out = append(out, r)
	}
	return out
}

// parseGroups reads a job's body: a line per group, an indented line per
// variant. Resources given on the group's line are every variant's defaults.
func parseGroups(body string) []model.TaskGroup {
	var groups []model.TaskGroup
	var defaults model.Variant
	for line := range strings.Lines(body) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if line[0] == ' ' {
			g := &groups[len(groups)-1]
			if g.Variants[0].Name == defaults.Name {
				g.Variants = nil
			}
			v := defaults
			v.Name = words[1]
			v.Resources.Devices = slices.Clone(v.Resources.Devices)
			parseVariant(&v, words[2:])
			g.Variants = append(g.Variants, v)
			continue
		}
		groups = append(groups, parseGroup(groups, words))
		defaults = groups[len(groups)-1].Variants[0]
	}
	return groups
}

func parseGroup(before []model.TaskGroup, words []string) model.TaskGroup {
	g := model.TaskGroup{Name: words[0], Indices: model.Count(1)}
	v := model.Variant{Name: "default", Driver: model.DriverExec}
	var rest []string
	keys, value := fields(words[1:])
	for i, k := range keys {
		switch s := value[k]; k {
		case "count":
			g.Indices.Ranges = model.Count(number(s)).Ranges
		case "array":
			g.Indices.Ranges = indices(s)
		case "chunk":
			if g.Indices.Auto = s == "auto"; !g.Indices.Auto {
				g.Indices.Chunk = number(s)
			}
		case "gang":
			g.Gang = true
		case "per-node":
			g.PerNode = true
		case "same-variant":
			g.SameVariant = true
		case "max-running":
			g.MaxRunning = int32(number(s))
		case "after", "each":
			for up := range strings.SplitSeq(s, ",") {
				at := (&model.JobSpec{Groups: before}).GroupIndex(up)
				if at < 0 {
					panic("no such group: " + up)
				}
				g.DependsOn = append(g.DependsOn, model.Dependency{Group: at, Each: k == "each"})
			}
		case "where":
			g.Constraints = append(g.Constraints, constraints(s)...)
		case "expr":
			g.Constraints = append(g.Constraints, model.Constraint{Attribute: s, Operator: model.Where})
		case "exclusive":
			g.Exclusive = true
		case "spread":
			for rule := range strings.SplitSeq(s, ",") {
				over, skew, _ := strings.Cut(rule, ":")
				g.Spread = append(g.Spread, model.Spread{Over: domain(over), MaxSkew: int32(number(skew))})
			}
		case "apart":
			for rule := range strings.SplitSeq(s, ",") {
				g.Apart = append(g.Apart, apart(rule))
			}
		default:
			if !parseArrayWord(&g, k, s) {
				rest = append(rest, words[1+i])
			}
		}
	}
	parseVariant(&v, rest)
	g.Variants = []model.Variant{v}
	return g
}

// parseVariant reads cpu=, memory=, disk=, speed=, setup=, sim, where=, and
// per kind of device gpu=2 (or gpu=0.25), gpu-memory=, gpu-where=, gpu-sessions=,
// gpu-encode=, gpu-decode=, fpga-image=.
func parseVariant(v *model.Variant, words []string) {
	keys, value := fields(words)
	for _, k := range keys {
		switch s := value[k]; k {
		case "cpu":
			v.Resources.CPUMilli = milli(s)
		case "memory":
			v.Resources.MemoryMiB = mib(s)
		case "disk":
			v.Resources.DiskMiB = mib(s)
		case "speed":
			v.SpeedPermille = int32(milli(s))
		case "setup":
			v.Setup = model.Duration(number(s)) * model.Second
		case "sim":
			v.Driver = model.DriverSim
		case "where":
			v.Constraints = constraints(s)
		default:
			parseDevice(v, k, s)
		}
	}
}

func parseDevice(v *model.Variant, key, s string) {
	kind, part, _ := strings.Cut(key, "-")
	if kind != model.KindGPU && kind != model.KindFPGA {
		panic("unknown word: " + key)
	}
	at := -1
	for i := range v.Resources.Devices {
		if v.Resources.Devices[i].Kind == kind {
			at = i
		}
	}
	if at < 0 || (part == "" && v.Resources.Devices[at].Thousandths != 0) {
		at = len(v.Resources.Devices)
		v.Resources.Devices = append(v.Resources.Devices, model.DeviceRequest{Kind: kind})
	}
	r := &v.Resources.Devices[at]
	switch part {
	case "":
		n := milli(s)
		if n == 0 {
			v.Resources.Devices = nil
			return
		}
		r.Count, r.Thousandths = 1, int32(n)
		if n >= 1000 {
			r.Count, r.Thousandths = int32(n/1000), 1000
		}
	case "memory":
		r.MemoryMiB = mib(s)
	case "image":
		r.Image = s
	case "sessions":
		r.Media.Sessions = int32(number(s))
	case "encode":
		r.Media.EncodeMilli = int32(milli(s))
	case "decode":
		r.Media.DecodeMilli = int32(milli(s))
	case "where":
		r.Constraints = constraints(s)
	default:
		panic("unknown word: " + key)
	}
}

// parseNode reads a node's shape: cpu=, memory=, disk=, zone=, rack=, family=,
// type=, price= (units per hour), sim, true= (an expression that holds), gpu=N or
// fpga=N with -memory, -model, -share (the part of a device that is offered),
// -sessions, -encode, -decode, -image, -region, -images, -link (a-b:score,...), -attr
// (name:value,... of every device) and -N-attr (of the N-th); any other word is an attribute.
func parseNode(name string, words []string) *model.Node {
	n := &model.Node{Name: name, State: model.NodeReady, CPUMilli: 8000, MemoryMiB: 32 << 10, DiskMiB: 100 << 10}
	n.Attributes = map[string]model.Attribute{}
	keys, value := fields(words)
	for _, k := range keys {
		switch s := value[k]; k {
		case "count":
		case "cpu":
			n.CPUMilli = milli(s)
		case "memory":
			n.MemoryMiB = mib(s)
		case "disk":
			n.DiskMiB = mib(s)
		case "zone":
			n.Zone = s
		case "rack":
			n.Rack = s
		case "family":
			n.Family = s
		case "type":
			n.InstanceType = s
		case "price":
			n.PriceMicroPerHour = milli(s) * 1000
		case "sim":
			n.Simulated = true
		case "true":
			n.Truths = map[string]bool{s: true}
		default:
			parseNodeDevice(n, k, s)
		}
	}
	slices.SortFunc(n.Devices, func(a, b model.Device) int { return strings.Compare(a.ID, b.ID) })
	return n
}

func parseNodeDevice(n *model.Node, key, s string) {
	kind, part, _ := strings.Cut(key, "-")
	if kind != model.KindGPU && kind != model.KindFPGA {
		n.Attributes[key] = attribute(s)
		return
	}
	if part == "" {
		for i := range number(s) {
			d := model.Device{ID: fmt.Sprintf("%s%d", kind, i), Kind: kind, Thousandths: 1000, MemoryMiB: 8 << 10, Healthy: true}
			n.Devices = append(n.Devices, d)
		}
		return
	}
	if part == "link" {
		parseLinks(n, s)
		return
	}
	only := -1
	if nth, rest, ok := strings.Cut(part, "-"); ok {
		only, part = int(number(nth)), rest
	}
	for i := range n.Devices {
		d := &n.Devices[i]
		if d.Kind != kind || only >= 0 && i != only {
			continue
		}
		switch part {
		case "attr":
			d.Attributes = map[string]model.Attribute{}
			for pair := range strings.SplitSeq(s, ",") {
				name, value, _ := strings.Cut(pair, ":")
				d.Attributes[name] = attribute(value)
			}
		case "memory":
			d.MemoryMiB = mib(s)
		case "model":
			d.Model = s
		case "share":
			d.Thousandths = int32(milli(s))
		case "sessions", "encode", "decode", "image", "region", "images":
			if d.Attributes == nil {
				d.Attributes = map[string]model.Attribute{}
			}
			d.Attributes[strings.Replace(part, "sessions", model.AttributeSessions, 1)] = attribute(strings.ReplaceAll(s, "|", ","))
		default:
			panic("unknown word: " + key)
		}
	}
}

// parseLinks reads "0-1:150,0-2:10"; pairs that are not named are as close as 10.
func parseLinks(n *model.Node, s string) {
	k := len(n.Devices)
	n.DeviceLinks = make([]int32, k*(k-1)/2)
	for i := range n.DeviceLinks {
		n.DeviceLinks[i] = 10
	}
	for pair := range strings.SplitSeq(s, ",") {
		ends, score, _ := strings.Cut(pair, ":")
		a, b, _ := strings.Cut(ends, "-")
		i, j := int(number(a)), int(number(b))
		n.DeviceLinks[i*(2*k-i-1)/2+j-i-1] = int32(number(score))
	}
}
