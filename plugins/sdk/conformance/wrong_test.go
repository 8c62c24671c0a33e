package conformance_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// wrong is a server that does one thing wrong.
type wrong struct {
	pluginv1.DeviceServiceServer
	violation string
	answers   atomic.Int64
	parts     atomic.Int64
	given     sync.Map
}

func serve(violation string) error {
	s, err := sdk.NewServer(sdk.Config{Name: "shelf", Plugin: shelf{os.Getenv(faultEnv)}, LookInterval: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	if violation == "ends-with-agent" {
		if err := os.Unsetenv(sdk.LifelineEnv); err != nil {
			return err
		}
	}
	return sdk.ServeService(&wrong{DeviceServiceServer: s, violation: violation})
}

func (w *wrong) Describe(ctx context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	if w.violation == "describes-itself" {
		return &pluginv1.DescribeResponse{}, nil
	}
	if w.violation == "program-guarded/told" {
		return &pluginv1.DescribeResponse{Name: "shelf", Programs: true}, nil
	}
	return w.DeviceServiceServer.Describe(ctx, r)
}

// sender changes inventories on their way.
type sender struct {
	pluginv1.DeviceService_FingerprintServer
	change func(*pluginv1.Inventory) *pluginv1.Inventory
}

func (s sender) Send(inv *pluginv1.Inventory) error {
	if inv = s.change(inv); inv == nil {
		return nil
	}
	return s.DeviceService_FingerprintServer.Send(inv)
}

func (w *wrong) Fingerprint(r *pluginv1.FingerprintRequest, out pluginv1.DeviceService_FingerprintServer) error {
	sent := false
	return w.DeviceServiceServer.Fingerprint(r, sender{out, func(inv *pluginv1.Inventory) *pluginv1.Inventory {
		switch w.violation {
		case "inventory-in-time":
			return nil
		case "inventory-valid":
			inv.Devices[1].Thousandths = 1001
		case "inventory-valid/double":
			inv.Devices[1].Id = inv.Devices[0].Id
		case "inventory-valid/identity":
			inv.Devices[0].Identity, inv.Devices[1].Identity = "one", "one"
		case "inventory-valid/reason":
			inv.Devices = nil
		case "ids-stable":
			inv.Devices[0].Id = fmt.Sprintf("shelf-%d", rand.Int64())
		case "identities-stable":
			inv.Devices[0].Identity = fmt.Sprint(rand.Int64())
		case "identities-stable/double":
			inv.Devices[0].Identity, inv.Devices[1].Identity = "one", "one"
		case "identities-stable/part":
			inv.Devices[1].PartOf = inv.Devices[0].Id
		case "crash-recovery":
			if _, err := os.Stat(os.Getenv(faultEnv) + ".reserved"); err == nil {
				inv.Devices = inv.Devices[:1]
			}
		case "health-streamed":
			if sent {
				return nil
			}
			sent = true
		case "health-streamed/well":
			if sent = sent || len(inv.Devices[0].Health.Signals) > 0; sent && len(inv.Devices[0].Health.Signals) == 0 {
				return nil
			}
		case "health-streamed/before":
			inv.Devices[0].Health = sdk.Seen(&pluginv1.Signal{Code: "test-fault"})
		}
		return inv
	}})
}

func (w *wrong) Reserve(ctx context.Context, r *pluginv1.ReserveRequest) (*pluginv1.ReserveResponse, error) {
	n := w.answers.Add(1)
	resp, err := w.DeviceServiceServer.Reserve(ctx, r)
	given := &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{}}
	switch {
	case w.violation == "unknown-refused" && status.Code(err) == codes.NotFound:
		return nil, status.Error(codes.Internal, "oops")
	case w.violation == "unknown-refused/unnamed" && status.Code(err) == codes.NotFound:
		return nil, status.Error(codes.NotFound, "no such thing")
	case w.violation == "shares-divided" && status.Code(err) == codes.InvalidArgument && strings.Contains(err.Error(), "in parts"):
		return given, nil
	case w.violation == "shares-divided/alone" && err == nil && r.Shares[0].Thousandths == 250 && w.parts.Add(1) == 2:
		return nil, status.Error(codes.ResourceExhausted, "one part is all that there is")
	case w.violation == "shares-bounded" && status.Code(err) == codes.InvalidArgument:
		return given, nil
	case w.violation == "reserve-idempotent" && err == nil:
		resp.Edits.Env = []string{fmt.Sprintf("SERIAL=%d", n)}
	case w.violation == "reserve-idempotent/refused" && err == nil && w.repeated(r.AllocationId):
		return nil, status.Error(codes.FailedPrecondition, "it was given already")
	case w.violation == "reserve-idempotent/other" && status.Code(err) == codes.FailedPrecondition:
		return given, nil
	case w.violation == "capacity-kept/released" && err == nil && r.Shares[0].Thousandths == 1000:
		w.given.Store(r.AllocationId, true)
	case w.violation == "capacity-kept/part" && err == nil && r.Shares[0].Thousandths == 1000:
		return nil, status.Error(codes.ResourceExhausted, "nobody gets all of it")
	case w.violation == "one-wins" && strings.HasSuffix(r.AllocationId, ".race"):
		return given, nil
	case w.violation == "edits-valid/hook" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Hooks: []*pluginv1.Hook{{Name: "someday", Path: "/bin/true"}}}}, nil
	case w.violation == "edits-deterministic/restart" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{fmt.Sprintf("PID=%d", os.Getpid())}}}, nil
	case w.violation == "capacity-kept" && status.Code(err) == codes.ResourceExhausted:
		return given, nil
	case w.violation == "edits-valid" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{"no equals sign"}}}, nil
	case w.violation == "edits-deterministic" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{"ALLOCATION=" + r.AllocationId}}}, nil
	case strings.HasPrefix(w.violation, "crash-recovery/") && err == nil && r.Shares[0].Thousandths == 1000:
		return w.afterCrash(resp, r)
	case w.violation == "crash-recovery" && err == nil && n == 1 && r.Shares[0].Thousandths == 1000:
		// Only the last rules reserve in a process that has just been started.
		return resp, os.WriteFile(os.Getenv(faultEnv)+".reserved", nil, 0o600)
	}
	return resp, err
}

// repeated reports whether a reservation has been given before.
func (w *wrong) repeated(id string) bool {
	_, before := w.given.LoadOrStore(id, true)
	return before
}

// afterCrash answers another way when an allocation is repeated to another process.
func (w *wrong) afterCrash(resp *pluginv1.ReserveResponse, r *pluginv1.ReserveRequest) (*pluginv1.ReserveResponse, error) {
	file := os.Getenv(faultEnv) + "." + r.AllocationId
	if _, err := os.Stat(file); err != nil {
		return resp, os.WriteFile(file, nil, 0o600)
	}
	if w.violation == "crash-recovery/refused" {
		return nil, status.Error(codes.FailedPrecondition, "it was given already")
	}
	return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{"AGAIN=1"}}}, nil
}

func (w *wrong) Release(ctx context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	if w.violation == "release-unknown" && strings.HasPrefix(r.AllocationId, "nobody") {
		return nil, status.Error(codes.NotFound, "never heard of it")
	}
	if _, whole := w.given.Load(r.AllocationId); whole && w.violation == "capacity-kept/released" {
		return &pluginv1.ReleaseResponse{}, nil
	}
	return w.DeviceServiceServer.Release(ctx, r)
}

func (w *wrong) Health(ctx context.Context, r *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if w.violation == "health-answers" {
		return &pluginv1.HealthResponse{}, nil
	}
	if w.violation == "health-answers/unknown" && len(r.DeviceIds) > 0 {
		return &pluginv1.HealthResponse{}, nil
	}
	return w.DeviceServiceServer.Health(ctx, r)
}

func (w *wrong) Stats(r *pluginv1.StatsRequest, out pluginv1.DeviceService_StatsServer) error {
	if w.violation == "stats-known" {
		return out.Send(&pluginv1.StatsSample{Devices: []*pluginv1.DeviceStats{{DeviceId: "ghost"}}})
	}
	if w.violation == "stats-known/never" {
		<-out.Context().Done()
		return nil
	}
	return w.DeviceServiceServer.Stats(r, out)
}

func (w *wrong) Program(r *pluginv1.ProgramRequest, out pluginv1.DeviceService_ProgramServer) error {
	if w.violation == "program-guarded" {
		return out.Send(&pluginv1.ProgramProgress{Done: true})
	}
	return w.DeviceServiceServer.Program(r, out)
}

func (w *wrong) Reset(ctx context.Context, r *pluginv1.ResetRequest) (*pluginv1.ResetResponse, error) {
	if w.violation == "reset-guarded" {
		return &pluginv1.ResetResponse{}, nil
	}
	return w.DeviceServiceServer.Reset(ctx, r)
}

func (w *wrong) Clean(ctx context.Context, r *pluginv1.CleanRequest) (*pluginv1.CleanResponse, error) {
	if w.violation == "clean-answers" {
		return &pluginv1.CleanResponse{}, nil
	}
	if w.violation == "clean-idle" {
		return &pluginv1.CleanResponse{MemoryLeftBytes: 1}, nil
	}
	if w.violation == "clean-answers/fails" {
		return nil, status.Error(codes.Internal, "cannot look")
	}
	return w.DeviceServiceServer.Clean(ctx, r)
}
