package model

import (
	"fmt"
	"slices"
)

// Bounds on waiting for other jobs, and on limits.
const (
	MaxAfter      = 64
	MaxLimitCount = 1_000_000_000
)

// attempts checks what a group says of the order and the ends of its attempts.
func (v *validator) attempts(path string, g *TaskGroup) {
	if g.Order > OrderFirstMiddleLast {
		v.fault(path+".order", "no such order", "use forward, reverse, interleave or first-middle-last")
	}
	if g.Gang && g.Order > OrderForward {
		v.fault(path+".order", "a gang starts all its tasks at once, in no order", "remove order or gang")
	}
	if g.Indices.Auto && g.Indices.Chunk > 1 {
		v.fault(path+".chunk", "the chunk is fixed and automatic", "keep one of the two")
	}
	v.exitCodes(path+".exit_codes", &g.ExitCodes)
	v.duration(path+".retry_backoff_ms", g.RetryBackoff, MaxRetryBackoff)
	v.between(path+".avoid_after", int64(g.AvoidAfter), 0, MaxRetries)
	v.duration(path+".avoid_for_ms", g.AvoidFor, 366*Day)
	v.duration(path+".no_output_timeout_ms", g.NoOutputTimeout, 366*Day)
	v.duration(path+".min_runtime_ms", g.MinRuntime, 366*Day)
	if g.TimeLimit > 0 && g.MinRuntime >= g.TimeLimit {
		v.fault(path+".min_runtime_ms", "every task would be too fast or run into its time limit", "choose a shorter min_runtime")
	}
	v.between(path+".max_memory_mib", g.MaxMemoryMiB, 0, MaxMemoryMiB)
	for k := range g.Variants {
		if m := g.Variants[k].Resources.MemoryMiB; g.MaxMemoryMiB > 0 && m > g.MaxMemoryMiB {
			v.fault(path+".max_memory_mib", fmt.Sprintf("variant %s asks for %s to begin with", g.Variants[k].Name, FormatMiB(m)), "raise max_memory")
		}
	}
	v.limits(path+".limits", g.Limits)
}

func (v *validator) exitCodes(path string, e *ExitCodes) {
	v.atMost(path, int64(len(e.Requeue)+len(e.Fatal)), MaxExitCodes, "exit codes")
	for _, code := range slices.Concat(e.Requeue, e.Fatal) {
		v.between(path, int64(code), 1, 255)
	}
	for _, code := range e.Fatal {
		if slices.Contains(e.Requeue, code) {
			v.fault(path, fmt.Sprintf("code %d both requeues and is fatal", code), "keep one of the two")
		}
	}
}

func (v *validator) limits(path string, uses []LimitUse) {
	v.atMost(path, int64(len(uses)), MaxGroupLimits, "limits")
	for i, u := range uses {
		v.name(path, u.Name)
		v.between(path+"."+u.Name, u.Count, 1, MaxLimitCount)
		if i > 0 && uses[i-1].Name >= u.Name {
			v.fault(path, "the limits do not stand in the order of their names, each once", "")
		}
	}
}

// after checks the jobs that a job waits for; whether they exist is for the state to say.
func (v *validator) after(s *JobSpec) {
	v.atMost("after", int64(len(s.After)), MaxAfter, "jobs to wait for")
	for k, d := range s.After {
		path := fmt.Sprintf("after[%d]", k)
		if d.Job == "" {
			v.fault(path, "it names no job", "write the job's id or number")
		}
		if d.Condition > OnStarted {
			v.fault(path+".condition", "no such condition", "use succeeded, ended, failed or started")
		}
	}
}

// ValidateLimit returns what is wrong with a limit, nil if nothing is.
func ValidateLimit(l *Limit) *Error {
	switch {
	case !ValidName(l.Name):
		return &Error{Kind: KindInvalid, Subject: "limit " + l.Name, Message: fmt.Sprintf("%q is not a name", l.Name), Hint: "use 1 to 48 lower-case letters, digits and '-', beginning with a letter"}
	case l.Count < 0 || l.Count > MaxLimitCount:
		return &Error{Kind: KindInvalid, Subject: "limit " + l.Name, Message: "a limit is 0 to 1,000,000,000", Hint: "0 keeps all tasks out that ask for it"}
	case l.Scope < PerCluster || l.Scope > PerDevice:
		return &Error{Kind: KindInvalid, Subject: "limit " + l.Name, Message: "a limit counts per cluster, node or device"}
	}
	return nil
}
