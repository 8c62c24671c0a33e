package amd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk/pluginv1"
)

// errNoReset means that nothing on this host can reset the GPU: then nothing has failed either.
var errNoReset = status.Error(codes.Unimplemented, "the kernel shows no way to reset it (mount debugfs, or reboot the host)")

// Reaches are the parts of the same GPU: a reset ends them too. A virtual function is reset alone.
func (p *Plugin) Reaches(device string) []string {
	found, _ := p.find()
	var others []string
	for _, g := range found {
		if g.id != device && g.xcp > 0 && g.whole() == wholeOf(found, device) {
			others = append(others, g.id)
		}
	}
	return others
}

func wholeOf(found []gpu, id string) string {
	for _, g := range found {
		if g.id == id {
			return g.whole()
		}
	}
	return ""
}

// Reset has the driver recover the GPU, which also loads its firmware anew; where debugfs is not
// mounted the bus resets it. A process that uses the GPU would be ended by that, whoever it belongs
// to, so there must be none.
func (p *Plugin) Reset(ctx context.Context, device string) error {
	g, err := p.gpu(device)
	if err != nil {
		return err
	}
	for _, part := range append(p.Reaches(device), device) {
		other, err := p.gpu(part)
		if err != nil {
			return err
		}
		if users := p.processes(other); len(users) > 0 {
			return fmt.Errorf("process %d uses %s (end it first)", users[0].pid, part)
		}
	}
	done := make(chan error, 1)
	go func() { done <- p.recover(g) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		return ctx.Err() // the kernel is still at it: the call cannot be taken back
	}
	if err == nil && g.Unreadable("gpu_busy_percent") {
		err = errors.New("it does not answer after the reset")
	}
	return err
}

func (p *Plugin) gpu(id string) (gpu, error) {
	found, _ := p.find()
	for _, g := range found {
		if g.id == id {
			return g, nil
		}
	}
	return gpu{}, fmt.Errorf("device %s is gone from the bus", id)
}

// recover resets a GPU and returns when that is done.
func (p *Plugin) recover(g gpu) error {
	// To read the file is the order. Newer kernels name the directory by the address, older ones by
	// the number of the card.
	debug := sysfs.Dir(string(p.root) + "/kernel/debug/dri")
	for _, name := range []string{g.Address(), strings.TrimPrefix(g.card.Name(), "card")} {
		file := debug.Sub(name, "amdgpu_gpu_recover")
		if _, err := os.Lstat(string(file)); err != nil {
			continue
		}
		raw, err := os.ReadFile(string(file))
		if err != nil {
			return fmt.Errorf("the driver's recovery: %w", err)
		}
		// It answers 0 or an error number; kernels before 5.14 write a line around it.
		if f := strings.Fields(string(raw)); len(f) > 0 && f[len(f)-1] != "0" && f[len(f)-1] != "recover" {
			return fmt.Errorf("the driver's recovery failed with %s", f[len(f)-1])
		}
		return nil
	}
	if !g.Exists("reset") {
		return errNoReset
	}
	if err := os.WriteFile(string(g.Sub("reset")), []byte("1"), 0); err != nil {
		return fmt.Errorf("reset by the bus: %w", err)
	}
	return nil
}

// memorySlack is what an idle GPU uses now and not at another time, in bytes: page tables and
// firmware come and go.
const memorySlack = 64 << 20

// Clean tells of processes that still use the GPU, and of memory that is not back to what it was when
// least was used. A partition shares the counter of memory with its neighbours: of it, only processes
// are told, and the memory that they have.
func (p *Plugin) Clean(_ context.Context, device string) (*pluginv1.CleanResponse, error) {
	g, err := p.gpu(device)
	if err != nil {
		return nil, err
	}
	left := &pluginv1.CleanResponse{}
	var theirs int64
	for _, one := range p.processes(g) {
		left.Pids = append(left.Pids, one.pid)
		theirs += one.memory
	}
	if used, ok := g.Number("mem_info_vram_used"); ok && g.xcp == 0 {
		if more := used - p.least(g.id, used); more > memorySlack {
			left.MemoryLeftBytes = more
		}
	}
	left.MemoryLeftBytes = max(left.MemoryLeftBytes, theirs)
	return left, nil
}

// least returns the least memory that was ever seen in use, which now may be less than before.
func (p *Plugin) least(id string, used int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, seen := p.base[id]
	if !seen {
		before = used
	}
	p.base[id] = min(before, used)
	return p.base[id]
}
