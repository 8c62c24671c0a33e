package runner

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"caravan/agent/driver"
	"caravan/scheduler/model"
)

// The scenarios are the specification of the state machine. Each file is the life of
// allocations, told line by line:
//
//	new [gang] [publishes]          a fresh allocation
//	adopt [gang] [publishes]        one found on disk, its task attached to
//	EVENT [args]                    one event a line; printed: effects, then the state
func TestStateMachine(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s State
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new", "adopt":
				s = State{AtMostOnce: d.HasArg("gang"), Publishes: d.HasArg("publishes")}
				if d.Cmd == "adopt" {
					s.Phase = Launching
					s, _ = Apply(s, Launched{})
				}
				return describe(s) + "\n"
			case "events":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					e, err := parseEvent(strings.Fields(line))
					if err != nil {
						d.Fatalf(t, "%v", err)
					}
					var effects []Effect
					s, effects = Apply(s, e)
					fmt.Fprintf(&out, "%-28s %-22s %s\n", strings.TrimSpace(line), strings.Trim(fmt.Sprint(effects), "[]"), describe(s))
				}
				return out.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

func describe(s State) string {
	words := []string{s.Phase.String(), s.Word.String()}
	flag := func(on bool, word string) {
		if on {
			words = append(words, word)
		}
	}
	flag(s.Lease, "lease")
	flag(s.Stopping, "stopping")
	flag(s.Fenced, "fenced")
	flag(s.Evicted.Reason != "", "evicted")
	flag(s.Ready(), "ready")
	if s.Phase >= Held && s.Result.State != 0 {
		words = append(words, fmt.Sprintf("=> %s/%s/%d", s.Result.State, s.Result.Exit.Reason, s.Result.Exit.Code))
	}
	return strings.Join(words, " ")
}

func parseEvent(f []string) (Event, error) {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "assigned":
		return Assigned{StopRequested: arg(1) == "stop"}, nil
	case "unassigned":
		return Unassigned{}, nil
	case "registered":
		return Registered{}, nil
	case "lease":
		return LeaseChanged{Held: arg(1) == "held"}, nil
	case "slot":
		return SlotFree{}, nil
	case "launched":
		return Launched{}, nil
	case "launch-failed":
		if arg(1) != "" {
			return LaunchFailed{At: 9, Message: "no room", Fault: &driver.Fault{Reason: driver.Reason(arg(1)), Detail: "gpu0"}}, nil
		}
		return LaunchFailed{At: 9, Message: "no room"}, nil
	case "evicted":
		return Evicted{Fault: driver.Fault{Reason: driver.ReasonDeviceFault, Detail: "gpu0 is quarantined"}}, nil
	case "started":
		return Started{At: 5}, nil
	case "exited":
		code, err := strconv.Atoi(arg(2))
		r := Result{State: model.AllocationFailed, StartedAt: 5, EndedAt: 9, Exit: model.Exit{Reason: arg(1), Code: int32(code)}}
		if arg(1) == model.ReasonExited && code == 0 {
			r.State = model.AllocationSucceeded
		}
		if arg(3) != "" {
			return Exited{Result: r, Fault: &driver.Fault{Reason: driver.Reason(arg(3)), Detail: "gpu0 had xid-79"}}, err
		}
		return Exited{Result: r}, err
	case "published":
		return Published{}, nil
	case "publish-failed":
		return PublishFailed{Message: "destination is full"}, nil
	case "publish-held":
		return PublishHeld{}, nil
	case "acknowledged":
		return Acknowledged{}, nil
	}
	return nil, fmt.Errorf("unknown event %q", f[0])
}
