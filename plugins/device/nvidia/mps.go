package nvidia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// mpsLimits is the least compute capability, in hundredths, at which MPS bounds what a client
// takes (Volta).
const mpsLimits = 700

// viaMPS returns the GPU of a share that goes through an MPS daemon.
func (p *Plugin) viaMPS(s *pluginv1.Share) (uuid string, ok bool) {
	if p.cfg.Sharing != MPS || s.Thousandths >= sdk.Whole {
		return "", false
	}
	of, err := p.find(s.DeviceId)
	return of.gpu.UUID, err == nil && of.instance == nil
}

// editsOfMPS adds what a client of an MPS daemon needs. A client speaks with one daemon, and a
// daemon serves one GPU, so such a share cannot come with others.
func (p *Plugin) editsOfMPS(e *pluginv1.Edits, shares []*pluginv1.Share) error {
	for _, s := range shares {
		uuid, ok := p.viaMPS(s)
		if !ok {
			continue
		}
		if len(shares) > 1 {
			return status.Errorf(codes.FailedPrecondition, "a part of GPU %s is shared by MPS and cannot be had with other GPUs (ask for whole ones, or for one part)", uuid)
		}
		pipe := p.daemons.pipe(uuid)
		e.Env = append(e.Env, "CUDA_MPS_PIPE_DIRECTORY="+pipe, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE="+strconv.Itoa(int(s.Thousandths)*100/sdk.Whole))
		if s.MemoryMib > 0 {
			// By number: the daemon shows its clients the one GPU as number 0.
			e.Env = append(e.Env, fmt.Sprintf("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=%dM", s.MemoryMib))
		}
		e.Mounts = append(e.Mounts, &pluginv1.Mount{HostPath: pipe, ContainerPath: pipe, Options: []string{"rbind", "rw"}})
	}
	return nil
}

// daemons are the MPS control daemons of this host, one for each GPU that is shared now. They
// outlive the plugin, as the tasks do: what is known of them is found on the host again.
type daemons struct {
	library Library
	control string // the program
	dir     string // a directory for each GPU
	proc    string

	mu      sync.Mutex // held while one starts or ends
	clients map[string]map[string]string
}

func newDaemons(cfg Config) *daemons {
	return &daemons{library: cfg.Library, control: cfg.MPSControl, dir: cfg.MPSDir, proc: cfg.ProcRoot, clients: make(map[string]map[string]string)}
}

func (d *daemons) pipe(uuid string) string { return filepath.Join(d.dir, uuid, "pipe") }

// hold makes an allocation a client of a GPU's daemon, which is started if need be.
func (d *daemons) hold(ctx context.Context, uuid, allocation, tenant string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for other, owner := range d.clients[uuid] {
		if owner != tenant && other != allocation {
			// A fault of one client ends all of a server's, and a server has one user's rights.
			return status.Errorf(codes.ResourceExhausted, "GPU %s is shared among allocations of %q now, and MPS keeps no tenants apart", uuid, owner)
		}
	}
	if err := d.start(ctx, uuid); err != nil {
		return fmt.Errorf("MPS daemon of GPU %s: %w", uuid, err)
	}
	if d.clients[uuid] == nil {
		d.clients[uuid] = make(map[string]string)
	}
	d.clients[uuid][allocation] = tenant
	return nil
}

// drop ends the daemons of which an allocation was the last client.
func (d *daemons) drop(ctx context.Context, allocation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var faults []error
	for uuid, clients := range d.clients {
		if _, was := clients[allocation]; !was {
			continue
		}
		if len(clients) == 1 {
			if err := d.stop(ctx, uuid); err != nil {
				faults = append(faults, fmt.Errorf("MPS daemon of GPU %s: %w", uuid, err))
				continue // the client stays, so that the next try ends it
			}
			delete(d.clients, uuid)
		}
		delete(clients, allocation)
	}
	return errors.Join(faults...)
}

// used reports whether a GPU has clients.
func (d *daemons) used(uuid string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.clients[uuid]) > 0
}

// sweep ends the daemons that have no client: all, or a GPU's alone.
func (d *daemons) sweep(ctx context.Context, only string) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var faults []error
	for _, e := range entries {
		if uuid := e.Name(); (only == "" || uuid == only) && len(d.clients[uuid]) == 0 && d.running(uuid) != 0 {
			faults = append(faults, d.stop(ctx, uuid))
		}
	}
	return errors.Join(faults...)
}

// running returns the process of a GPU's daemon, 0 if none runs.
func (d *daemons) running(uuid string) int {
	raw, err := os.ReadFile(filepath.Join(d.pipe(uuid), "nvidia-cuda-mps-control.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return 0
	}
	// Another process may have the number by now.
	line, err := os.ReadFile(filepath.Join(d.proc, strconv.Itoa(pid), "cmdline"))
	if err != nil || !bytes.Contains(line, []byte(filepath.Base(d.control))) {
		return 0
	}
	return pid
}

// command runs the control program for a GPU's daemon.
func (d *daemons) command(ctx context.Context, uuid, input string, args ...string) error {
	dir := filepath.Join(d.dir, uuid)
	log, err := os.OpenFile(filepath.Join(dir, "control.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, d.control, args...)
	cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES="+uuid, "CUDA_MPS_PIPE_DIRECTORY="+d.pipe(uuid), "CUDA_MPS_LOG_DIRECTORY="+filepath.Join(dir, "log"))
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = log, log // a file, and no pipe that a daemon would keep open
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name()) // the error is told in any case
		return fmt.Errorf("%s %s: %w: %s", d.control, strings.Join(args, " "), err, bytes.TrimSpace(said[:min(len(said), maxDetail)]))
	}
	return nil
}

// start starts a GPU's daemon unless it runs. d.mu is held.
func (d *daemons) start(ctx context.Context, uuid string) error {
	if d.running(uuid) != 0 {
		return nil
	}
	for _, sub := range []string{"pipe", "log"} {
		if err := os.MkdirAll(filepath.Join(d.dir, uuid, sub), 0o755); err != nil {
			return err
		}
	}
	if err := d.library.SetExclusive(ctx, uuid, true); err != nil {
		return err
	}
	if err := d.command(ctx, uuid, "", "-d"); err != nil {
		return errors.Join(err, d.library.SetExclusive(context.WithoutCancel(ctx), uuid, false))
	}
	return d.await(ctx, uuid, true)
}

// stop ends a GPU's daemon. d.mu is held.
func (d *daemons) stop(ctx context.Context, uuid string) error {
	if pid := d.running(uuid); pid != 0 {
		asked := d.command(ctx, uuid, "quit\n")
		if asked == nil {
			asked = d.await(ctx, uuid, false)
		}
		if asked != nil && d.running(uuid) == pid {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return errors.Join(asked, err)
			}
		}
	}
	return d.library.SetExclusive(context.WithoutCancel(ctx), uuid, false)
}

// patience is how long a daemon may take to start or end.
const patience = 3 * time.Second

// await waits until a daemon runs or does not.
func (d *daemons) await(ctx context.Context, uuid string, running bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for (d.running(uuid) != 0) != running {
		select {
		case <-ctx.Done():
			if running {
				return errors.New("it does not start (see control.log and log/ in " + filepath.Join(d.dir, uuid) + ")")
			}
			return errors.New("it does not end")
		case <-look.C:
		}
	}
	return nil
}

// isServer reports whether a program is part of MPS itself.
func isServer(command string) bool {
	return slices.ContainsFunc([]string{"nvidia-cuda-mps", "nvidia-mps"}, func(name string) bool { return strings.HasPrefix(command, name) })
}
