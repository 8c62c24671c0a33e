package state

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"caravan/scheduler/model"
)

// TestScenarios runs the life of jobs, gangs, nodes and queues as told in
// testdata. Each command is one operation in a transaction of its own, a second
// after the one before; its output is the answer and the events. After each
// one, every invariant is checked and every older snapshot must be as it was.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := newScenario(t)
		datadriven.RunTest(t, path, s.run)
	})
}

type scenario struct {
	t     *testing.T
	store *Store
	index uint64
	now   model.Time
	past  history
}

func newScenario(t *testing.T) *scenario { return &scenario{t: t, store: NewStore()} }

// handlers is the vocabulary: what changes the state, and what shows it.
func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	if d.Cmd == "show" {
		return s.show(d)
	}
	change := map[string]func(*Txn, *datadriven.TestData) (Answer, *model.Error){
		"node": s.node, "lose": s.lose, "silence": s.silence, "drain": s.drain, "queue": s.queue, "submit": s.submit, "plan": s.plan,
		"report": s.report, "stop": s.stop, "retry": s.retry, "sweep": s.sweep, "server": s.server, "order": s.order,
		"act": s.act, "limit": s.limit,
	}[d.Cmd]
	if change == nil {
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	s.index++
	s.now += model.Time(model.Second)
	if at := number(d, "at", -1); at >= 0 {
		s.now = model.Time(at) * model.Time(model.Second)
	}
	txn := s.store.Begin()
	txn.Enter(s.index, s.now)
	a, err := txn.Once(text(d, "request", ""), func() (Answer, *model.Error) { return change(txn, d) })
	c := txn.Commit()
	s.past.remember(t, c.Snapshot)
	return describe(a, err, c)
}

// describe prints what came of an operation.
func describe(a Answer, err *model.Error, c Commit) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "%s: %s\n", err.Kind, err.Error())
	} else {
		fmt.Fprintf(&b, "ok %s count=%d\n", a.JobID, a.Count)
	}
	for _, d := range a.Dropped {
		fmt.Fprintf(&b, "dropped %s%s", d.Job, d.Allocation)
		if d.Ordinal >= 0 {
			fmt.Fprintf(&b, " task %d on %s", d.Ordinal, d.Node)
		}
		fmt.Fprintf(&b, ": %s\n", d.Reason)
	}
	for _, e := range c.Events {
		subject := e.Allocation
		if subject == "" {
			subject = strings.TrimSuffix(e.Job+"."+e.Group, ".")
		}
		fmt.Fprintf(&b, "  %s", e.Type)
		for _, s := range []string{subject, e.Node} {
			if s != "" {
				fmt.Fprintf(&b, " %s", s)
			}
		}
		if e.Message != "" {
			fmt.Fprintf(&b, ": %s", e.Message)
		}
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), "ok  ", "ok ")
}

func text(d *datadriven.TestData, key, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return otherwise
}

func number(d *datadriven.TestData, key string, otherwise int64) int64 {
	if v := text(d, key, ""); v != "" {
		return parse(v)
	}
	return otherwise
}

func parse(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// first is the first argument, the name of what the command is about.
func first(d *datadriven.TestData) string { return d.CmdArgs[0].Key }

func (s *scenario) node(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	n := &model.Node{
		Name: first(d), BootID: text(d, "boot", "b1"), Address: text(d, "address", "10.0.0.1:7"),
		CPUMilli: 1000 * number(d, "cpu", 4), MemoryMiB: 1024 * number(d, "memory", 16), DiskMiB: 1 << 20,
		Simulated: d.HasArg("simulated"),
	}
	for i := range number(d, "gpus", 0) {
		n.Devices = append(n.Devices, model.Device{
			ID: fmt.Sprintf("gpu%d", i), Kind: model.KindGPU, MemoryMiB: 16384, Thousandths: 1000, Healthy: !d.HasArg("sick"),
		})
	}
	for line := range strings.Lines(d.Input) {
		s.health(n, strings.Fields(line))
	}
	return t.RegisterNode(n)
}

// health reads what the agent says of its host or a device: NAME [identity=I] [order=N]
// SECONDS:FAULT:STATE...
func (s *scenario) health(n *model.Node, words []string) {
	h, reason, healthy, identity := &n.Health, &n.HealthReason, new(bool), new(string)
	if i := slices.IndexFunc(n.Devices, func(d model.Device) bool { return d.ID == words[0] }); i >= 0 {
		h, reason, healthy, identity = &n.Devices[i].Health, &n.Devices[i].HealthReason, &n.Devices[i].Healthy, &n.Devices[i].Identity
	}
	for _, w := range words[1:] {
		if v, ok := strings.CutPrefix(w, "identity="); ok {
			*identity = v
			continue
		}
		if v, ok := strings.CutPrefix(w, "order="); ok {
			h.Order = uint64(parse(v)) //nolint:gosec // small numbers
			continue
		}
		p := strings.Split(w, ":")
		e := model.HealthEntry{At: model.Time(parse(p[0])) * model.Time(model.Second), Fault: p[1]}
		for e.State = model.Healthy; e.State.String() != p[2]; e.State++ {
		}
		h.History = append(h.History, e)
		h.State, h.Since = e.State, e.At
		*healthy, *reason = e.State == model.Healthy || e.State == model.Probation, ""
		if !*healthy {
			*reason = p[2] + ": " + p[1]
		}
	}
}

// order gives an order: order NODE [DEVICE] VERB [fault=F] [reason=R].
func (s *scenario) order(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	o := model.HealthOrder{Device: text(d, "device", ""), Fault: text(d, "fault", ""), Reason: text(d, "reason", "noise"), By: text(d, "by", "ann")}
	for v := model.OrderQuarantine; v <= model.OrderFault; v++ {
		if d.HasArg(v.String()) {
			o.Verb = v
		}
	}
	return t.OrderHealth(first(d), o)
}

func (s *scenario) lose(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	return t.LoseNode(first(d), "no heartbeat")
}

func (s *scenario) silence(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	return t.SilenceNode(first(d), "no heartbeat")
}

func (s *scenario) drain(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	return t.DrainNode(first(d), !d.HasArg("off"))
}

func (s *scenario) server(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	if d.HasArg("remove") {
		return t.RemoveServer(first(d))
	}
	return t.PutServer(model.Server{ID: first(d), RaftAddress: text(d, "raft", ""), APIAddress: text(d, "api", "")})
}

func (s *scenario) queue(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	return t.PutQueue(model.Queue{
		Name: first(d), Parent: text(d, "parent", ""), Weight: number(d, "weight", 1),
		MaxCPUMilli: 1000 * number(d, "cpu", 0), MaxDevicesMilli: 1000 * number(d, "gpus", 0),
	})
}

// submit reads one group per input line: NAME followed by words and key=value.
func (s *scenario) submit(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	spec := &model.JobSpec{Name: first(d), Queue: text(d, "queue", ""), Singleton: d.HasArg("singleton")}
	for _, a := range d.CmdArgs {
		if a.Key == "after" {
			job, word, _ := strings.Cut(a.Vals[0], ":")
			spec.After = append(spec.After, model.JobDependency{Job: job, Condition: condition(word)})
		}
	}
	for line := range strings.Lines(d.Input) {
		spec.Groups = append(spec.Groups, parseGroup(s.t, spec, strings.Fields(line)))
	}
	return t.SubmitJob(spec, text(d, "owner", "ann"))
}

func parseGroup(t *testing.T, spec *model.JobSpec, words []string) model.TaskGroup {
	g := model.TaskGroup{Name: words[0], Indices: model.Count(1)}
	v := model.Variant{Name: "cpu", Driver: model.DriverExec, Resources: model.Resources{CPUMilli: 1000, MemoryMiB: 1024}}
	variants := 1
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "count":
			g.Indices = model.Count(parse(value))
		case "cpu":
			v.Resources.CPUMilli = 1000 * parse(value)
		case "retries":
			g.Retries = int32(parse(value))
		case "max-running":
			g.MaxRunning = int32(parse(value))
		case "matrix": // lr:2 is an axis of two numbers from 0
			name, n, _ := strings.Cut(value, ":")
			g.Matrix = append(g.Matrix, model.Axis{Name: name, Range: model.Range{First: 0, Last: parse(n) - 1, Step: 1}})
			g.Indices = model.Count(g.Matrix.Points())
		case "gang":
			g.Gang = true
		case "at-most":
			g.AtMostOnce = true
		case "per-node":
			g.PerNode = true
		case "same-variant":
			g.SameVariant = true
		case "sim":
			v.Driver = model.DriverSim
		case "variants":
			variants = int(parse(value))
		case "after", "each":
			group, word, _ := strings.Cut(value, ":")
			g.DependsOn = append(g.DependsOn, model.Dependency{Group: spec.GroupIndex(group), Each: key == "each", Condition: condition(word)})
		default:
			if !parseArrayWord(&g, key, value) {
				t.Fatalf("unknown word %s", w)
			}
		}
	}
	for i := range variants {
		v.Name = fmt.Sprintf("v%d", i)
		g.Variants = append(g.Variants, v)
	}
	return g
}

// plan reads lines JOB GROUP TASK@NODE[:DEVICE] ... [variant=N], of which each
// is a set, and lines "stop ALLOCATION REASON".
func (s *scenario) plan(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	var p Plan
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		if words[0] == "stop" {
			p.Stops = append(p.Stops, PlannedStop{Allocation: words[1], Reason: words[2]})
			continue
		}
		p.Sets = append(p.Sets, s.parseSet(words))
	}
	return t.ApplyPlan(p)
}

func (s *scenario) parseSet(words []string) PlacementSet {
	set := PlacementSet{Job: words[0]}
	if j, ok := s.store.Snapshot().Job(words[0]); ok {
		set.Group = j.Spec.GroupIndex(words[1])
		set.Gang = j.Spec.Groups[set.Group].Gang
	}
	for _, w := range words[2:] {
		if v, ok := strings.CutPrefix(w, "variant="); ok {
			set.Variant = int(parse(v))
			continue
		}
		task, where, _ := strings.Cut(w, "@")
		node, device, share := strings.Cut(where, ":")
		p := Placement{Node: node}
		if chunk := parseSet(task); chunk.Len() > 1 {
			p.Chunk = chunk
			p.Ordinal, _ = chunk.Min()
		} else {
			p.Ordinal = parse(task)
		}
		if share {
			p.Devices = []model.DeviceShare{{Device: device, Thousandths: 1000, MemoryMiB: 16384}}
		}
		set.Placements = append(set.Placements, p)
	}
	return set
}

// report reads lines ALLOCATION STATE [code=N] [reason=WORD].
func (s *scenario) report(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	var reports []Report
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		r := Report{Allocation: words[0], State: allocationState(words[1])}
		if r.State.Ended() {
			r.Exit.Reason = model.ReasonExited
		}
		for _, w := range words[2:] {
			switch key, value, _ := strings.Cut(w, "="); key {
			case "code":
				r.Exit.Code = int32(parse(value))
			case "reason":
				r.Exit.Reason = value
			case "started":
				r.StartedAt = model.Time(1000 * parse(value))
			case "ended":
				r.EndedAt = model.Time(1000 * parse(value))
			case "done":
				r.Done = parseSet(value)
			case "failed":
				r.Failed = parseSet(value)
			case "peak":
				r.Usage.PeakMemoryBytes = parse(value) << 20
			}
		}
		reports = append(reports, r)
	}
	return t.ReportAllocations(first(d), reports)
}

func allocationState(word string) model.AllocationState {
	for s := model.AllocationPlaced; s <= model.AllocationLost; s++ {
		if s.String() == word {
			return s
		}
	}
	panic("no such state: " + word)
}

func (s *scenario) stop(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	if !d.HasArg("matrix") {
		return t.StopJob(first(d))
	}
	var conditions []model.AxisCondition
	for _, c := range d.CmdArgs {
		if c.Key == "matrix" {
			axis, value, _ := strings.Cut(c.Vals[0], ":")
			conditions = append(conditions, model.AxisCondition{Axis: axis, Values: strings.Split(value, "|")})
		}
	}
	return t.StopPoints(first(d), text(d, "group", ""), conditions)
}

func (s *scenario) retry(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	return t.RetryJob(first(d), text(d, "group", ""))
}

func (s *scenario) sweep(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	second := model.Time(model.Second)
	return t.Sweep(second*model.Time(number(d, "requests", 0)), second*model.Time(number(d, "ended", 0)), second*model.Time(number(d, "health", 0)), int(number(d, "limit", 1000)))
}
