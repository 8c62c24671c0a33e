package agent_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"caravan/agent"
	"caravan/agent/device"
	"caravan/agent/images"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// The regions of the pretended F1.
const (
	region0 = "sim-a10gx1150-0"
	region1 = "sim-a10gx1150-1"
)

// fpgaRig is a host with two regions and a store of images.
type fpgaRig struct {
	*host
	faults, store, state string
	programTime          string
}

func newFPGARig(t *testing.T) *fpgaRig {
	t.Helper()
	r := &fpgaRig{host: newHost(t), store: t.TempDir(), state: t.TempDir(), programTime: "20ms"}
	r.faults = filepath.Join(t.TempDir(), "faults.yaml")
	r.write(filepath.Join(r.store, "aes.bin"), "bits")
	r.write(filepath.Join(r.store, images.IndexName), "- {name: aes, file: aes.bin, id: afu-aes, interface: sim}\n- {name: sha, id: afu-sha}\n- {name: odd, interface: another}\n")
	return r
}

func (r *fpgaRig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *fpgaRig) plugged(c *agent.Config) {
	c.ImagesDir = r.store
	c.DevicePlugins = []device.Plugin{{Name: "sim", Command: []string{
		os.Args[0], "device-plugin", "-machine", "f1", "-state", r.state, "-faults", r.faults, "-program-time", r.programTime,
	}}}
	c.DeviceTiming = agent.DeviceTiming{Call: 2 * time.Second, Health: 100 * time.Millisecond, RetryMin: 50 * time.Millisecond, Program: time.Minute}
}

// wants is a task on a region that has to run an image.
func (r *fpgaRig) wants(ordinal int64, image, script string) *pb.Assignment {
	return task(ordinal, script, func(a *pb.Assignment) {
		a.Allocation.Devices = []*pb.DeviceShare{{DeviceId: region0, Thousandths: 1000, MemoryMib: 16 << 10}}
		a.Variant.Resources = &pb.Resources{Devices: []*pb.DeviceRequest{{Kind: "fpga", Count: 1, Thousandths: 1000, Image: image}}}
	})
}

// awaitRegion waits until the node is registered with a region of which something holds.
func (r *fpgaRig) awaitRegion(id, what string, holds func(*pb.Device) bool) {
	r.t.Helper()
	rg := rig{host: r.host}
	rg.awaitDevice(id, what, holds)
}

func word(d *pb.Device, attribute string) string { return d.Attributes[attribute].GetText() }

// program loads an image over the agent's service and returns the steps and the last message.
func (r *fpgaRig) program(c pb.TaskServiceClient, req *pb.ProgramDeviceRequest) (steps []string, last *pb.ProgramDeviceProgress, err error) {
	r.t.Helper()
	stream, err := c.ProgramTaskDevice(r.ctx, req)
	for err == nil {
		var p *pb.ProgramDeviceProgress
		if p, err = stream.Recv(); err == nil {
			steps, last = append(steps, p.Step), p
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return steps, last, err
}

func TestATaskGetsTheImageThatItAsksForBeforeItStarts(t *testing.T) {
	r := newFPGARig(t)
	r.start(r.plugged)
	r.awaitRegion(region0, "empty, with two images at hand", func(d *pb.Device) bool {
		return word(d, "region") == "empty" && word(d, "images") == "aes,sha" && d.Attributes["image"] == nil
	})
	seen := r.path("seen")
	a := r.wants(1, "aes", "cat "+filepath.Join(r.state, region0+".afu_id")+" > "+seen)
	r.servers.Assign(a)
	r.await(id(a), succeeded)
	if got := r.awaitFile(seen); strings.TrimSpace(got) != "afu-aes" {
		t.Errorf("the task found %q on its device", got)
	}
	r.awaitRegion(region0, "running aes, with the time that it took", func(d *pb.Device) bool {
		return word(d, "region") == "ready" && word(d, "image_id") == "afu-aes" && word(d, "image") == "aes" && d.Attributes["reprogram_ms"].GetMilli() > 0
	})
	// Another task with the same image finds it there.
	r.write(r.faults, "program_fails: nobody may program now\n")
	b := r.wants(2, "aes", "true")
	r.servers.Assign(b)
	r.await(id(b), succeeded)
}

func TestATaskWhoseImageCannotBeLoadedGoesElsewhereAndTheRegionIsOut(t *testing.T) {
	r := newFPGARig(t)
	address, _ := r.start(r.plugged)
	r.write(r.faults, "program_fails: CRC error\n")
	a := r.wants(1, "aes", "true")
	r.servers.Assign(a)
	rep := r.await(id(a), pb.AllocationState_ALLOCATION_STATE_LOST)
	if rep.Exit.Reason != "device-fault" || !strings.Contains(rep.Exit.Message, "CRC error") {
		t.Errorf("reported %v", rep.Exit)
	}
	r.awaitRegion(region0, "broken", func(d *pb.Device) bool { return !d.Healthy && word(d, "region") == "error" })
	r.awaitRegion(region1, "healthy", healthy)
	// An operator who loads an image puts it back into service.
	r.write(r.faults, "{}\n")
	if _, _, err := r.program(r.client(address), &pb.ProgramDeviceRequest{DeviceId: region0, Image: "sha"}); err != nil {
		t.Fatal(err)
	}
	r.awaitRegion(region0, "in service again", func(d *pb.Device) bool { return d.Healthy && word(d, "image") == "sha" })
}

func TestAnOperatorLoadsAnImage(t *testing.T) {
	r := newFPGARig(t)
	r.programTime = "200ms"
	address, _ := r.start(r.plugged)
	c := r.client(address)
	steps, last, err := r.program(c, &pb.ProgramDeviceRequest{DeviceId: region1, Image: "aes"})
	if err != nil || !last.Done || last.DoneThousandths != 1000 || last.TookMs <= 0 || len(steps) < 3 {
		t.Fatalf("steps %v, last %v, %v", steps, last, err)
	}
	r.awaitRegion(region1, "running aes", func(d *pb.Device) bool { return word(d, "image") == "aes" })
	holder := r.wants(1, "aes", "sleep 100")
	r.servers.Assign(holder)
	r.await(id(holder), running)
	for name, c2 := range map[string]struct {
		req  *pb.ProgramDeviceRequest
		want string
	}{
		"in use":           {&pb.ProgramDeviceRequest{DeviceId: region0, Image: "sha"}, "in use by " + id(holder)},
		"unknown image":    {&pb.ProgramDeviceRequest{DeviceId: region1, Image: "rsa"}, "no such image"},
		"another shell":    {&pb.ProgramDeviceRequest{DeviceId: region1, Image: "odd"}, "built for interface another"},
		"unknown device":   {&pb.ProgramDeviceRequest{DeviceId: "fpga-9", Image: "aes"}, "no such device"},
		"no image":         {&pb.ProgramDeviceRequest{DeviceId: region1}, "name a device and an image"},
		"too little time":  {&pb.ProgramDeviceRequest{DeviceId: region1, Image: "sha", TimeoutMs: 1}, "not loaded within 1ms"},
		"negative timeout": {&pb.ProgramDeviceRequest{DeviceId: region1, Image: "sha", TimeoutMs: -1}, "not negative"},
	} {
		if _, _, err := r.program(c, c2.req); err == nil || !strings.Contains(err.Error()+" "+detail(err), c2.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.end(holder)
}

func TestANewAgentKnowsHowLongImagesTake(t *testing.T) {
	r := newFPGARig(t)
	address, stop := r.start(r.plugged)
	if _, _, err := r.program(r.client(address), &pb.ProgramDeviceRequest{DeviceId: region1, Image: "aes"}); err != nil {
		t.Fatal(err)
	}
	stop()
	r.start(r.plugged)
	r.awaitRegion(region1, "with the time of an earlier load", func(d *pb.Device) bool { return d.Attributes["reprogram_ms"].GetMilli() > 0 })
}

// detail is the hint of an error.
func detail(err error) string {
	if e := wire.ErrorFromStatus(err); e != nil {
		return e.Hint
	}
	return ""
}
