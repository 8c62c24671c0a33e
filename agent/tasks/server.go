package tasks

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// SimulatedNote is given out as the log of a simulated task.
const SimulatedNote = "simulated task: nothing ran, so nothing was logged"

// Source finds the node's allocations. It is called from any goroutine.
type Source interface {
	// Find returns an allocation that has not ended or is still kept on disk.
	Find(id string) (Allocation, bool)
	// Usage tells what such an allocation was given and uses.
	Usage(id string) (*pb.TaskUsage, bool)
}

// Allocation is what the service has to know of one.
type Allocation struct {
	// LogDir holds its log streams; it need not exist yet.
	LogDir string
	// Note is given out instead of logs where nothing real runs.
	Note string
	// Task runs the commands; nil when it has not begun, or began under an earlier agent and
	// has ended.
	Task driver.Task
	// Ended is closed when nothing more will be logged.
	Ended <-chan struct{}
}

// Config describes the service.
type Config struct {
	Source Source
	// Programmer loads images; nil where there is nothing to program.
	Programmer Programmer
	// Steps are those of batch scripts; nil where none run.
	Steps Steps
	// Poll is the longest pause between a follower's two looks for new log bytes; 0 means the
	// default of package logs.
	Poll   time.Duration
	Logger hclog.Logger
}

// Server is the service. It is safe for concurrent use.
type Server struct {
	pb.UnimplementedTaskServiceServer
	cfg Config
}

var _ pb.TaskServiceServer = (*Server)(nil)

// New returns the service.
func New(cfg Config) (*Server, error) {
	if cfg.Source == nil || cfg.Logger == nil {
		return nil, errors.New("tasks: Source and Logger must be set")
	}
	return &Server{cfg: cfg}, nil
}

// find returns an allocation or the error for the caller.
func (s *Server) find(id string) (Allocation, error) {
	a, ok := s.cfg.Source.Find(id)
	if !ok {
		return a, wire.ErrorToStatus(model.NotFound("allocation", fmt.Sprintf("%q on this node", id),
			"it ran elsewhere, or its logs were removed to make room"))
	}
	return a, nil
}

// invalid is the error for a request that makes no sense.
func invalid(subject, message, hint string) error {
	return wire.ErrorToStatus(&model.Error{Kind: model.KindInvalid, Subject: subject, Message: message, Hint: hint})
}

// notRunning is the error for commands beside a task that does not run.
func notRunning(id string) error {
	return wire.ErrorToStatus(model.Conflict(id, "allocation "+id+" is not running", "commands can only be run beside a running task"))
}
