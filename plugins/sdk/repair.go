package sdk

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk/pluginv1"
)

// shut keeps devices that nobody holds from being handed out until reopen is called.
func (s *Server) shut(devices ...string) (reopen func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range devices {
		if err := s.books.close(d); err != nil {
			for _, before := range devices[:i] {
				s.books.reopen(before)
			}
			return nil, err
		}
	}
	s.wake()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range devices {
			s.books.reopen(d)
		}
		s.wake()
	}, nil
}

// Reset resets a device that nobody uses.
func (s *Server) Reset(ctx context.Context, req *pluginv1.ResetRequest) (*pluginv1.ResetResponse, error) {
	resetter, ok := s.cfg.Plugin.(Resetter)
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "plugin %s cannot reset devices", s.cfg.Name)
	}
	if _, err := s.known(ctx, req.DeviceId); err != nil {
		return nil, err
	}
	all := []string{req.DeviceId}
	if r, ok := s.cfg.Plugin.(Reacher); ok {
		all = append(all, r.Reaches(req.DeviceId)...)
	}
	reopen, err := s.shut(all...)
	if err != nil {
		return nil, err
	}
	defer reopen()
	timeout := s.cfg.ResetTimeout
	if req.TimeoutMs > 0 {
		timeout = time.Duration(req.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = resetter.Reset(ctx, req.DeviceId)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, status.Errorf(codes.DeadlineExceeded, "device %s was not reset within %v (a reboot of the host may help)", req.DeviceId, timeout)
	case status.Code(err) == codes.Unimplemented:
		return nil, err
	case err != nil:
		return nil, status.Errorf(codes.Aborted, "device %s was not reset: %v", req.DeviceId, err)
	}
	return &pluginv1.ResetResponse{}, nil
}

// Clean says what is left on a device after a task.
func (s *Server) Clean(ctx context.Context, req *pluginv1.CleanRequest) (*pluginv1.CleanResponse, error) {
	cleaner, ok := s.cfg.Plugin.(Cleaner)
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "plugin %s does not know what is left on devices", s.cfg.Name)
	}
	if _, err := s.known(ctx, req.DeviceId); err != nil {
		return nil, err
	}
	left, err := cleaner.Clean(ctx, req.DeviceId)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "plugin %s cannot look at device %s: %v", s.cfg.Name, req.DeviceId, err)
	}
	return left, nil
}
