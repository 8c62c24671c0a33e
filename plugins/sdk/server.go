package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk/pluginv1"
)

// Config describes a plugin to its server.
type Config struct {
	// Name of the plugin: lower-case letters, digits and '-'. Required.
	Name string
	// Version of the plugin, for people.
	Version string
	// Plugin does the work. Required.
	Plugin Plugin
	// LookInterval is the time between two looks at the host; default 5 s, which costs a few
	// hundred reads of sysfs and is what other device plugins use.
	LookInterval time.Duration
	// ResetTimeout bounds the reset of a device unless the request says otherwise; default 1
	// minute: a secondary bus reset takes seconds, and the driver's start some more.
	ResetTimeout time.Duration
	// ProgramTimeout bounds the programming of a device unless the request says otherwise;
	// default 5 minutes: full images of large parts take tens of seconds.
	ProgramTimeout time.Duration
}

// Server serves one Plugin by the contract. Safe for concurrent use.
type Server struct {
	pluginv1.UnimplementedDeviceServiceServer
	cfg  Config
	look sync.Mutex // held while the plugin is asked for its inventory

	mu      sync.Mutex // guards what follows
	latest  *pluginv1.Inventory
	books   books
	changed chan struct{} // closed when regions change by our doing
}

var _ pluginv1.DeviceServiceServer = (*Server)(nil)

// NewServer checks the configuration.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Plugin == nil || !validID(cfg.Name) {
		return nil, fmt.Errorf("plugin %q: a plugin needs a name of letters, digits and '-', and an implementation", cfg.Name)
	}
	if cfg.LookInterval <= 0 {
		cfg.LookInterval = 5 * time.Second
	}
	if cfg.ProgramTimeout <= 0 {
		cfg.ProgramTimeout = 5 * time.Minute
	}
	if cfg.ResetTimeout <= 0 {
		cfg.ResetTimeout = time.Minute
	}
	return &Server{cfg: cfg, books: newBooks(), changed: make(chan struct{})}, nil
}

// Describe says what plugin this is.
func (s *Server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	_, programs := s.cfg.Plugin.(Programmer)
	return &pluginv1.DescribeResponse{Name: s.cfg.Name, Version: s.cfg.Version, Programs: programs}, nil
}

// Fingerprint sends the inventory and its changes.
func (s *Server) Fingerprint(_ *pluginv1.FingerprintRequest, out pluginv1.DeviceService_FingerprintServer) error {
	ctx := out.Context()
	var woken <-chan struct{}
	if w, ok := s.cfg.Plugin.(Waker); ok {
		woken = w.Changed()
	}
	again := time.NewTicker(s.cfg.LookInterval)
	defer again.Stop()
	var sent *pluginv1.Inventory
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		now, err := s.inventory(ctx)
		if err != nil {
			return err
		}
		if !proto.Equal(sent, now) {
			if err := out.Send(now); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-woken:
		case <-changed:
		}
	}
}

// inventory looks at the host and returns what may be told of it.
func (s *Server) inventory(ctx context.Context) (*pluginv1.Inventory, error) {
	s.look.Lock()
	defer s.look.Unlock()
	found, err := s.cfg.Plugin.Inventory(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "plugin %s cannot look at its devices: %v", s.cfg.Name, err)
	}
	now := proto.CloneOf(found)
	sortInventory(now)
	if err := CheckInventory(now); err != nil {
		return nil, status.Errorf(codes.Internal, "plugin %s breaks the contract: %v", s.cfg.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = now
	return s.books.mark(now), nil
}

// known returns the device, looking again for one that has not been seen yet.
func (s *Server) known(ctx context.Context, id string) (*pluginv1.Device, error) {
	if d := s.find(id); d != nil {
		return d, nil
	}
	if _, err := s.inventory(ctx); err != nil {
		return nil, err
	}
	if d := s.find(id); d != nil {
		return d, nil
	}
	return nil, status.Errorf(codes.NotFound, "plugin %s has no device %q (it may have been removed; see the node's devices)", s.cfg.Name, id)
}

func (s *Server) find(id string) *pluginv1.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.latest.GetDevices() {
		if d.Id == id {
			return d
		}
	}
	return nil
}

// Reserve gives shares to an allocation; see the contract.
func (s *Server) Reserve(ctx context.Context, req *pluginv1.ReserveRequest) (*pluginv1.ReserveResponse, error) {
	if !validID(req.AllocationId) || len(req.Shares) == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "allocation %q: a reservation needs the allocation's id and at least one share", req.AllocationId)
	}
	devices := make([]*pluginv1.Device, len(req.Shares))
	for i, share := range req.Shares {
		d, err := s.known(ctx, share.DeviceId)
		if err != nil {
			return nil, err
		}
		devices[i] = d
	}
	s.mu.Lock()
	answer, err := s.books.take(req, devices)
	s.mu.Unlock()
	if err != nil || answer != nil {
		return answer, err
	}
	edits, err := s.handOut(ctx, req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.books.give(req.AllocationId)
		return nil, err
	}
	s.wake()
	return s.books.answer(req.AllocationId, &pluginv1.ReserveResponse{Edits: edits}), nil
}

// handOut has the plugin make booked shares ready and say what comes with them.
func (s *Server) handOut(ctx context.Context, req *pluginv1.ReserveRequest) (*pluginv1.Edits, error) {
	refuse := func(err error) error {
		if _, told := status.FromError(err); told {
			return err
		}
		return status.Errorf(codes.Internal, "plugin %s cannot hand out %d devices: %v", s.cfg.Name, len(req.Shares), err)
	}
	edits, err := s.edits(ctx, req)
	if err == nil {
		err = CheckEdits(edits)
	}
	if err != nil {
		return nil, refuse(err)
	}
	if h, ok := s.cfg.Plugin.(Holder); ok {
		if err := h.Hold(ctx, req.AllocationId, req.Tenant, req.Shares); err != nil {
			// What was begun is undone, also where the caller has lost patience.
			if undo := h.Drop(context.WithoutCancel(ctx), req.AllocationId); undo != nil {
				err = errors.Join(err, undo)
			}
			return nil, refuse(err)
		}
	}
	return edits, nil
}

func (s *Server) edits(ctx context.Context, req *pluginv1.ReserveRequest) (*pluginv1.Edits, error) {
	if t, ok := s.cfg.Plugin.(Tenanted); ok {
		return t.EditsFor(ctx, req.Tenant, req.Shares)
	}
	return s.cfg.Plugin.Edits(ctx, req.Shares)
}

// Release takes an allocation's shares back.
func (s *Server) Release(ctx context.Context, req *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	if h, ok := s.cfg.Plugin.(Holder); ok {
		if err := h.Drop(ctx, req.AllocationId); err != nil {
			return nil, status.Errorf(codes.Internal, "plugin %s cannot take back what %s held: %v", s.cfg.Name, req.AllocationId, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.books.give(req.AllocationId) {
		s.wake()
	}
	return &pluginv1.ReleaseResponse{}, nil
}

// wake has regions told of again; s.mu is held.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// minStatsInterval keeps a wrong request from becoming a flood.
const minStatsInterval = 100 * time.Millisecond

// Stats sends samples until the caller hangs up.
func (s *Server) Stats(req *pluginv1.StatsRequest, out pluginv1.DeviceService_StatsServer) error {
	meter, ok := s.cfg.Plugin.(Meter)
	if !ok {
		return status.Errorf(codes.Unimplemented, "plugin %s measures nothing", s.cfg.Name)
	}
	interval := 10 * time.Second
	if req.IntervalMs > 0 {
		interval = max(minStatsInterval, time.Duration(req.IntervalMs)*time.Millisecond)
	}
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		sample, err := meter.Stats(out.Context())
		if err != nil {
			return status.Errorf(codes.Internal, "plugin %s cannot measure: %v", s.cfg.Name, err)
		}
		if err := out.Send(sample); err != nil {
			return err
		}
		select {
		case <-out.Context().Done():
			return nil
		case <-again.C:
		}
	}
}

// Program loads an image into a device that nobody uses.
func (s *Server) Program(req *pluginv1.ProgramRequest, out pluginv1.DeviceService_ProgramServer) error {
	programmer, ok := s.cfg.Plugin.(Programmer)
	if !ok {
		return status.Errorf(codes.Unimplemented, "devices of plugin %s take no images", s.cfg.Name)
	}
	device, err := s.known(out.Context(), req.DeviceId)
	switch {
	case err != nil:
		return err
	case device.Region == nil:
		return status.Errorf(codes.FailedPrecondition, "device %s takes no images", req.DeviceId)
	case req.Image == "":
		return status.Errorf(codes.InvalidArgument, "device %s: name the image", req.DeviceId)
	}
	reopen, err := s.shut(req.DeviceId)
	if err != nil {
		return err
	}
	defer reopen()
	timeout := s.cfg.ProgramTimeout
	if req.TimeoutMs > 0 {
		timeout = time.Duration(req.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(out.Context(), timeout)
	defer cancel()
	err = programmer.Program(ctx, req, func(done int32, step string) {
		_ = out.Send(&pluginv1.ProgramProgress{DoneThousandths: min(max(done, 0), Whole), Step: step}) // a caller that left is seen by ctx
	})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return status.Errorf(codes.DeadlineExceeded, "device %s: image %s was not loaded within %v (see the device's health; a longer timeout may help)", req.DeviceId, req.Image, timeout)
	case err != nil:
		return status.Errorf(codes.Aborted, "device %s: image %s was not loaded: %v", req.DeviceId, req.Image, err)
	}
	return out.Send(&pluginv1.ProgramProgress{DoneThousandths: Whole, Step: "loaded", Done: true})
}

// Health looks at devices anew.
func (s *Server) Health(ctx context.Context, req *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	s.mu.Lock()
	before := s.latest
	s.mu.Unlock()
	now, err := s.inventory(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if !proto.Equal(before, s.latest) {
		s.wake() // who follows the inventory need not wait for the next look
	}
	s.mu.Unlock()
	all := make(map[string]*pluginv1.Health, len(now.Devices))
	for _, d := range now.Devices {
		all[d.Id] = d.GetHealth()
		if all[d.Id] == nil {
			all[d.Id] = &pluginv1.Health{}
		}
	}
	if len(req.DeviceIds) == 0 {
		return &pluginv1.HealthResponse{Devices: all}, nil
	}
	some := make(map[string]*pluginv1.Health, len(req.DeviceIds))
	for _, id := range req.DeviceIds {
		h, ok := all[id]
		if !ok {
			return nil, status.Errorf(codes.NotFound, "plugin %s has no device %q", s.cfg.Name, id)
		}
		some[id] = h
	}
	return &pluginv1.HealthResponse{Devices: some}, nil
}
