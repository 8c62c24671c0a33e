//go:build cgo

package nvmltest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/gpus"
)

// GPU is one pretended GPU. Change it with Server.Change.
type GPU struct {
	// Config is the type of card; UUID, PCI bus and minor number follow from the position.
	Config gpus.Config
	// Failure is what every call about it answers; 0 for none.
	Failure nvml.Return
	// Hang, if not nil, keeps every call about it until it is closed.
	Hang chan struct{}
	// MIG says that it is in MIG mode.
	MIG bool
	// Set are modes, Refusal what setting one answers; 0 for that it is done.
	Set     Set
	Refusal nvml.Return
	// Processes use it.
	Processes []nvml.ProcessInfo
	// Pending says that a row is to be remapped.
	Pending bool

	mode      nvml.ComputeMode
	instances map[int]*instance
}

type instance struct {
	info    nvml.GpuInstanceInfo
	compute bool
}

// Server is a library.
type Server struct {
	mock.Interface
	mock.ExtendedInterface

	mu      sync.Mutex
	gpus    []*GPU
	lacking map[string]bool
	events  chan nvml.EventData
	ready   bool
	devices []*mock.Device
}

// M40 is a Tesla M40.
func M40() gpus.Config {
	return gpus.Config{Name: "Tesla M40", MemoryMB: 12288, CudaMajor: 5, CudaMinor: 2}
}

// maxEvents that wait to be told.
const maxEvents = 64

// New returns a library with these GPUs that lacks some functions.
func New(all []*GPU, lacking ...string) *Server {
	s := &Server{gpus: all, lacking: make(map[string]bool), events: make(chan nvml.EventData, maxEvents)}
	for _, symbol := range lacking {
		s.lacking[symbol] = true
	}
	for i, g := range all {
		g.instances = make(map[int]*instance)
		s.devices = append(s.devices, s.device(i, g))
	}
	s.fill()
	return s
}

// UUID of the GPU at a position.
func UUID(i int) string { return fmt.Sprintf("GPU-%d", i) }

// Change changes GPUs while no call reads them.
func (s *Server) Change(f func([]*GPU)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.gpus)
}

// Tell has a GPU's event told.
func (s *Server) Tell(gpu int, kind, data uint64) {
	s.events <- nvml.EventData{Device: s.devices[gpu], EventType: kind, EventData: data}
}

// ComputeMode is what was set last.
func (s *Server) ComputeMode(gpu int) nvml.ComputeMode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gpus[gpu].mode
}

// initialize makes a function that notes whether the library is in use.
func (s *Server) initialize(ready bool) func() nvml.Return {
	return func() nvml.Return {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ready = ready
		return nvml.SUCCESS
	}
}

// Ready reports whether the library is initialized.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

func ok() nvml.Return { return nvml.SUCCESS }

func (s *Server) fill() {
	s.InitFunc, s.ShutdownFunc = s.initialize(true), s.initialize(false)
	s.ExtensionsFunc = func() nvml.ExtendedInterface { return s }
	s.LookupSymbolFunc = func(symbol string) error {
		if s.lacking[symbol] {
			return errors.New("no " + symbol)
		}
		return nil
	}
	s.SystemGetDriverVersionFunc = func() (string, nvml.Return) { return "550.54.15", nvml.SUCCESS }
	s.SystemGetNVMLVersionFunc = func() (string, nvml.Return) { return "12.550.54.15", nvml.SUCCESS }
	s.SystemGetCudaDriverVersionFunc = func() (int, nvml.Return) { return 12040, nvml.SUCCESS }
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return len(s.devices), nvml.SUCCESS }
	s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) { return s.devices[i], nvml.SUCCESS }
	s.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) {
		return &mock.EventSet{FreeFunc: ok, WaitFunc: s.wait}, nvml.SUCCESS
	}
}

func (s *Server) wait(milli uint32) (nvml.EventData, nvml.Return) {
	limit := time.NewTimer(time.Duration(milli) * time.Millisecond)
	defer limit.Stop()
	select {
	case e := <-s.events:
		return e, nvml.SUCCESS
	case <-limit.C:
		return nvml.EventData{}, nvml.ERROR_TIMEOUT
	}
}

// enter is called first in each function of a GPU.
func (s *Server) enter(g *GPU) nvml.Return {
	s.mu.Lock()
	hang, failure := g.Hang, g.Failure
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return failure
}

// of makes a function that answers with what f reads.
func of[T any](s *Server, g *GPU, f func() T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) {
		var none T
		if ret := s.enter(g); ret != nvml.SUCCESS {
			return none, ret
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return f(), nvml.SUCCESS
	}
}

// is makes a function that always answers the same.
func is[T any](s *Server, g *GPU, value T) func() (T, nvml.Return) {
	return of(s, g, func() T { return value })
}

// no makes a function that the GPU does not support.
func no[T any]() (T, nvml.Return) {
	var none T
	return none, nvml.ERROR_NOT_SUPPORTED
}
