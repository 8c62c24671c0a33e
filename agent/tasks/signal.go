package tasks

import (
	"errors"
	"slices"
	"syscall"

	"google.golang.org/grpc"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// maxSignal is the largest signal there is; see signal(7).
const maxSignal = 64

// Steps finds the steps that scripts have started.
type Steps interface {
	// Signal sends a signal to all steps of an allocation and returns how many tasks it reached.
	Signal(allocation string, sig syscall.Signal) int
}

// choices counts what a start asks for.
func choices(start *pb.ExecStart) int {
	n := 0
	for _, asked := range []bool{len(start.Command) > 0, start.Port != 0, start.Signal != 0} {
		if asked {
			n++
		}
	}
	return n
}

// signal sends a running task a signal: its first process, or the steps that it has started.
func (s *Server) signal(stream grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse], start *pb.ExecStart, task driver.Task) error {
	if start.Signal < 1 || start.Signal > maxSignal {
		return invalid("signal", "there is no such signal", "give 1 to 64")
	}
	sig := syscall.Signal(start.Signal)
	s.cfg.Logger.Info("signal to a task", "allocation", start.AllocationId, "signal", sig, "steps", start.SignalSteps)
	if start.SignalSteps {
		if s.cfg.Steps == nil || s.cfg.Steps.Signal(start.AllocationId, sig) == 0 {
			return notRunning(start.AllocationId)
		}
	} else if err := task.Signal(stream.Context(), sig); errors.Is(err, driver.ErrNotRunning) {
		return notRunning(start.AllocationId)
	} else if err != nil {
		return wire.ErrorToStatus(err)
	}
	return stream.Send(&pb.ExecResponse{Message: &pb.ExecResponse_ExitCode{}})
}

// environment writes variables as KEY=VALUE.
func environment(vars map[string]string) []string {
	var env []string
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}
