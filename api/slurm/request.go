package slurm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"caravan/api/caravanv1"
	"caravan/api/hostlist"
	"caravan/api/jobspec"
)

// Request is what a script, its variables and its flags ask for together. Sizes are MiB, times
// milliseconds; 0 means that nothing was said, Unset that zero would mean something.
type Request struct {
	Name                                       string
	Nodes, MaxNodes                            int64
	Tasks, TasksPerNode, TasksPerGPU           int64
	CPUsPerTask, CPUsPerGPU, MinCPUs           int64
	Mem, MemPerCPU, MemPerGPU, Disk            int64 // Unset where not asked for
	GPUs, GPUsPerNode, GPUsPerTask             GPUs
	Exclusive                                  bool
	Constraint                                 string
	NodeList, Exclude                          []string
	Licenses                                   map[string]int64
	Array                                      []*caravanv1.IndexRange
	ArrayText                                  string
	MaxRunning                                 int32
	TimeMs                                     int64
	Partition, Account, QOS, Comment           string
	After                                      []*caravanv1.JobDependency
	Singleton                                  bool
	Signal                                     int32
	SignalBeforeMs                             int64
	SignalBatch                                bool
	Requeue, Hold                              bool
	Begin                                      string
	Priority                                   int32
	Export, Chdir                              string
	Output, Error, Input                       string
	Append                                     bool
	Wrap, JobID                                string
	Parsable, Wait, TestOnly, Quiet            bool
	Verbose, Label, Unbuffered, Overlap, Exact bool
	KillOnBadExit                              bool
	Relative                                   int64
	warnings                                   []string // of the setting being applied
}

// Unset is a size that was not asked for: --mem=0 means all there is.
const Unset = -1

// GPUs are a number of GPUs, or a share of one, of a type.
type GPUs struct {
	Count int64
	// Type is the model; "" for any.
	Type string
	// Thousandths is the part of each that is asked for; 0 means all of it.
	Thousandths int32
}

// NewRequest applies settings in order, so that later ones win. Options without effect, and
// parts of values without one, become warnings.
func NewRequest(settings []Setting) (*Request, []Warning, error) {
	r := &Request{Mem: Unset, MemPerCPU: Unset, MemPerGPU: Unset, Disk: Unset}
	var warnings []Warning
	for _, s := range settings {
		o, ok := byName(s.Name)
		if !ok {
			return nil, nil, &Error{s.Place, "there is no option --" + s.Name, ""}
		}
		if o.set == nil {
			warnings = append(warnings, Warning{s.Place, "--" + o.name + " has no effect: " + o.why})
			continue
		}
		r.warnings = nil
		if err := o.set(r, s.Value); err != nil {
			var hint string
			if h, ok := errors.AsType[*hinted](err); ok {
				hint = h.hint
			}
			return nil, nil, &Error{s.Place, "--" + o.name + ": " + err.Error(), hint}
		}
		for _, w := range r.warnings {
			warnings = append(warnings, Warning{s.Place, "--" + o.name + ": " + w})
		}
	}
	return r, warnings, nil
}

// hinted is an error with advice.
type hinted struct{ message, hint string }

func (e *hinted) Error() string { return e.message }

func (r *Request) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func text(field func(*Request) *string) func(*Request, string) error {
	return func(r *Request, v string) error { *field(r) = v; return nil }
}

func whole(field func(*Request) *int64) func(*Request, string) error {
	return func(r *Request, v string) error {
		n, err := number(v)
		*field(r) = n
		return err
	}
}

func size(field func(*Request) *int64) func(*Request, string) error {
	return func(r *Request, v string) error {
		n, err := mebibytes(v)
		*field(r) = n
		return err
	}
}

func hosts(field func(*Request) *[]string) func(*Request, string) error {
	return func(r *Request, v string) error {
		names, err := hostlist.Expand(v)
		*field(r) = names
		return err
	}
}

func gpus(field func(*Request) *GPUs) func(*Request, string) error {
	return func(r *Request, v string) error {
		var g GPUs
		for _, part := range strings.Split(v, ",") {
			kind, count, typed := strings.Cut(part, ":")
			if !typed {
				kind, count = "", part
			}
			n, err := number(count)
			if err != nil {
				return err
			}
			if g.Count > 0 {
				r.warn("only one type of GPU can be asked for at a time; %s is ignored", part)
				continue
			}
			g = GPUs{Count: n, Type: kind}
		}
		*field(r) = g
		return nil
	}
}

// setNodes reads N, MIN-MAX or a size such as 1k.
func (r *Request) setNodes(v string) error {
	low, high, isRange := strings.Cut(v, "-")
	n, err := number(low)
	if err != nil || n == 0 {
		return &hinted{fmt.Sprintf("%q is no number of nodes", v), "write 2, or 2-4"}
	}
	r.Nodes, r.MaxNodes = n, n
	if isRange {
		if r.MaxNodes, err = number(high); err != nil || r.MaxNodes < n {
			return &hinted{fmt.Sprintf("%q is no range of nodes", v), "write 2-4"}
		}
		if r.MaxNodes > n {
			r.warn("a job gets the %d nodes that it needs at least, not more", n)
		}
	}
	return nil
}

// setGres reads gpu[:type][:count] and its like.
func (r *Request) setGres(v string) error {
	if v == "none" || v == "NONE" {
		r.GPUsPerNode = GPUs{}
		return nil
	}
	for _, part := range strings.Split(v, ",") {
		f := strings.Split(strings.TrimPrefix(part, "gres/"), ":")
		kind, count := "", int64(1)
		if last := f[len(f)-1]; len(f) > 1 {
			n, err := number(last)
			switch {
			case err == nil:
				count = n
				f = f[:len(f)-1]
			case len(f) > 2:
				return err
			}
		}
		if len(f) > 1 {
			kind = f[1]
		}
		switch f[0] {
		case "gpu":
			r.GPUsPerNode = GPUs{Count: count, Type: kind}
		case "mps":
			r.GPUsPerNode = GPUs{Count: 1, Type: kind, Thousandths: int32(min(max(count*10, 1), 1000))} //nolint:gosec // at most 1000
		default:
			r.warn("nodes have no %q; ask for other countable things with --licenses", f[0])
		}
	}
	return nil
}

func (r *Request) setExclusive(v string) error {
	switch v {
	case "", "yes":
		r.Exclusive = true
	default:
		r.warn("%q has no effect: a job either has its nodes to itself or shares them with all", v)
	}
	return nil
}

func (r *Request) setLicenses(v string) error {
	r.Licenses = make(map[string]int64)
	for _, part := range strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ';' }) {
		name, count, given := strings.Cut(strings.ReplaceAll(part, "*", ":"), ":")
		name, _, _ = strings.Cut(name, "@")
		n := int64(1)
		if given {
			var err error
			if n, err = number(count); err != nil {
				return err
			}
		}
		r.Licenses[plainName(name)] = n
	}
	return nil
}

func (r *Request) setArray(v string) error {
	ranges, most, err := jobspec.ParseArray(v)
	r.Array, r.ArrayText, r.MaxRunning = ranges, v, most
	return err
}

func (r *Request) setTime(v string) (err error) {
	r.TimeMs, err = duration(v)
	return err
}

func (r *Request) setOpenMode(v string) error {
	switch v {
	case "append", "a":
		r.Append = true
	case "truncate", "t":
		r.Append = false
	default:
		return &hinted{fmt.Sprintf("there is no mode %q", v), "write append or truncate"}
	}
	return nil
}

func (r *Request) setKillOnBadExit(v string) error {
	r.KillOnBadExit = v != "0"
	return nil
}

// maxPriority is the range of a job's priority on either side of 0.
const maxPriority = 1000

func (r *Request) setNice(v string) error {
	n := int64(100)
	if v != "" {
		var err error
		if n, err = strconv.ParseInt(v, 10, 64); err != nil {
			return fmt.Errorf("%q is no number", v)
		}
	}
	if n > maxPriority || n < -maxPriority {
		r.warn("niceness counts from -%d to %[1]d", maxPriority)
	}
	r.Priority = int32(max(-maxPriority, min(maxPriority, -n))) //nolint:gosec // at most 1000
	return nil
}

func (r *Request) setPriority(v string) error {
	n, err := number(v)
	if err != nil {
		return err
	}
	if n > maxPriority {
		r.warn("priorities end at %d", maxPriority)
	}
	r.Priority = int32(min(maxPriority, n)) //nolint:gosec // at most 1000
	return nil
}
