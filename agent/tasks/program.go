package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// Programmer loads images into devices.
type Programmer interface {
	// Program loads an image into a device that nobody holds and returns how long it took; timeout 0
	// means the agent's own. progress is called from any goroutine.
	Program(ctx context.Context, device, image string, timeout time.Duration, progress func(done int32, step string)) (time.Duration, error)
}

// ProgramTaskDevice loads an image and tells how far it is. A caller who goes away ends it.
func (s *Server) ProgramTaskDevice(r *pb.ProgramDeviceRequest, out grpc.ServerStreamingServer[pb.ProgramDeviceProgress]) error {
	if s.cfg.Programmer == nil {
		return wire.ErrorToStatus(model.Conflict(r.DeviceId, "this node programs no devices", ""))
	}
	if r.DeviceId == "" || r.Image == "" || r.TimeoutMs < 0 {
		return invalid("image", "name a device and an image", "give a time-out that is not negative, or none")
	}
	var mu sync.Mutex // a stream takes one message at a time
	send := func(p *pb.ProgramDeviceProgress) error {
		mu.Lock()
		defer mu.Unlock()
		return out.Send(p)
	}
	took, err := s.cfg.Programmer.Program(out.Context(), r.DeviceId, r.Image, time.Duration(r.TimeoutMs)*time.Millisecond,
		func(done int32, step string) {
			_ = send(&pb.ProgramDeviceProgress{DoneThousandths: done, Step: step}) // a caller who is gone ends the context
		})
	switch {
	case errors.Is(err, context.Canceled):
		return wire.ErrorToStatus(&model.Error{Kind: model.KindUnavailable, Subject: r.DeviceId, Message: "the load was ended early: " + err.Error(), Hint: "look at the region's state and load an image again"})
	case err != nil:
		return wire.ErrorToStatus(model.Conflict(r.DeviceId, err.Error(), fmt.Sprintf("see `caravan node show %s`", r.Node)))
	}
	s.cfg.Logger.Info("image loaded", "device", r.DeviceId, "image", r.Image, "took", took)
	return send(&pb.ProgramDeviceProgress{DoneThousandths: 1000, Step: "loaded", Done: true, TookMs: took.Milliseconds()})
}

// GetTaskUsage tells what an allocation was given and uses.
func (s *Server) GetTaskUsage(_ context.Context, r *pb.GetTaskUsageRequest) (*pb.TaskUsage, error) {
	u, ok := s.cfg.Source.Usage(r.AllocationId)
	if !ok {
		_, err := s.find(r.AllocationId)
		return nil, err
	}
	return u, nil
}
