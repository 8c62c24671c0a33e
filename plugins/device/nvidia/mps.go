package nvidia

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	of, err := p.find(s.DeviceId)
	return of.gpu.UUID, err == nil && of.instance == nil && s.Thousandths < sdk.Whole && p.sharing(of.gpu) == MPS
}

// percent is what a share is of the threads of a GPU.
func percent(s *pluginv1.Share) int { return int(s.Thousandths) * 100 / sdk.Whole }

// editsOfMPS adds what a client of an MPS daemon needs. A client speaks with one daemon, and a
// daemon serves one GPU, so such a share cannot come with others.
func (p *Plugin) editsOfMPS(e *pluginv1.Edits, tenant string, shares []*pluginv1.Share) error {
	for _, s := range shares {
		uuid, ok := p.viaMPS(s)
		if !ok {
			continue
		}
		if len(shares) > 1 {
			return status.Errorf(codes.FailedPrecondition, "a part of GPU %s is shared by MPS and cannot be had with other GPUs (ask for whole ones, or for one part)", uuid)
		}
		pipe := p.daemons.pipe(daemon{uuid, tenant})
		e.Env = append(e.Env, "CUDA_MPS_PIPE_DIRECTORY="+pipe, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE="+strconv.Itoa(percent(s)))
		if s.MemoryMib > 0 {
			// By number: the daemon shows its clients the one GPU as number 0.
			e.Env = append(e.Env, fmt.Sprintf("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=%dM", s.MemoryMib))
		}
		e.Mounts = append(e.Mounts, &pluginv1.Mount{HostPath: pipe, ContainerPath: pipe, Options: []string{"rbind", "rw"}})
	}
	return nil
}

// daemon is an MPS control daemon: of one GPU and one tenant, since a fault of one client ends all of a
// server's.
type daemon struct{ uuid, tenant string }

// dir is the daemon's directory below its GPU's. Sockets lie in it, so it is short whatever the
// tenant is called.
func (d daemon) dir() string {
	sum := sha256.Sum256([]byte(d.tenant))
	return "t-" + hex.EncodeToString(sum[:4])
}

// client is an allocation's part in a daemon.
type client struct {
	daemon    daemon
	percent   int
	memoryMiB int64 // 0 for no limit
}

// daemons are the MPS control daemons of this host. They outlive the plugin, as the tasks do: what is
// known of them is found on the host again.
type daemons struct {
	library Library
	control string // the program
	root    string // a directory for each GPU, and in it one for each tenant
	proc    string

	mu      sync.Mutex // held while one starts or ends
	clients map[string]client
}

func newDaemons(cfg Config) *daemons {
	return &daemons{library: cfg.Library, control: cfg.MPSControl, root: cfg.MPSDir, proc: cfg.ProcRoot, clients: make(map[string]client)}
}

// at is the directory of a daemon.
func (d *daemons) at(m daemon) string { return filepath.Join(d.root, m.uuid, m.dir()) }

func (d *daemons) pipe(m daemon) string { return filepath.Join(d.at(m), "pipe") }

// hold makes an allocation a client of a daemon, which is started if need be.
func (d *daemons) hold(ctx context.Context, allocation string, c client) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, again := d.clients[allocation]
	d.clients[allocation] = c
	if err := d.serve(ctx, c.daemon); err != nil {
		delete(d.clients, allocation)
		if again {
			d.clients[allocation] = before
		}
		return fmt.Errorf("MPS daemon of GPU %s: %w", c.daemon.uuid, err)
	}
	return nil
}

// serve has a daemon run with limits that all its clients fit in. d.mu is held.
func (d *daemons) serve(ctx context.Context, m daemon) error {
	if err := d.setMode(ctx, m.uuid); err != nil {
		return err
	}
	if err := d.start(ctx, m); err != nil {
		return errors.Join(err, d.setModeWithout(context.WithoutCancel(ctx), m))
	}
	return d.bound(ctx, m)
}

// bound tells a daemon the most that any of its clients was given: a client that unsets its own
// variables gets no more than that. The largest share wins, so that the others keep theirs.
func (d *daemons) bound(ctx context.Context, m daemon) error {
	threads, memory, unbounded := 0, int64(0), false
	for _, c := range d.clients {
		if c.daemon == m {
			threads, memory, unbounded = max(threads, c.percent), max(memory, c.memoryMiB), unbounded || c.memoryMiB == 0
		}
	}
	orders := fmt.Sprintf("set_default_active_thread_percentage %d\n", threads)
	if !unbounded {
		orders += fmt.Sprintf("set_default_device_pinned_mem_limit 0 %dM\n", memory)
	}
	return d.command(ctx, m, orders)
}

// tenants are those that share a GPU now. d.mu is held.
func (d *daemons) tenants(uuid string) map[daemon]bool {
	all := make(map[daemon]bool)
	for _, c := range d.clients {
		if c.daemon.uuid == uuid {
			all[c.daemon] = true
		}
	}
	return all
}

// setMode has one process use a GPU, the server, or any where several tenants have one each: then the
// driver has their servers take turns. d.mu is held.
func (d *daemons) setMode(ctx context.Context, uuid string) error {
	return d.library.SetExclusive(ctx, uuid, len(d.tenants(uuid)) == 1)
}

// setModeWithout is setMode as if a daemon had no clients.
func (d *daemons) setModeWithout(ctx context.Context, m daemon) error {
	all := d.tenants(m.uuid)
	delete(all, m)
	return d.library.SetExclusive(ctx, m.uuid, len(all) == 1)
}

// drop ends the daemon of which an allocation was the last client.
func (d *daemons) drop(ctx context.Context, allocation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, was := d.clients[allocation]
	if !was {
		return nil
	}
	delete(d.clients, allocation)
	if d.tenants(c.daemon.uuid)[c.daemon] {
		return nil
	}
	if err := d.stop(ctx, c.daemon.uuid, d.at(c.daemon)); err != nil {
		d.clients[allocation] = c // so that the next try ends it
		return fmt.Errorf("MPS daemon of GPU %s: %w", c.daemon.uuid, err)
	}
	return nil
}

// used reports whether a GPU has clients.
func (d *daemons) used(uuid string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tenants(uuid)) > 0
}

// sweep ends the daemons that have no client: all, or a GPU's alone.
func (d *daemons) sweep(ctx context.Context, only string) error {
	found, err := filepath.Glob(filepath.Join(d.root, "*", "t-*"))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var faults []error
	for _, dir := range found {
		uuid := filepath.Base(filepath.Dir(dir))
		serves := false
		for m := range d.tenants(uuid) {
			serves = serves || d.at(m) == dir
		}
		if (only == "" || uuid == only) && !serves && d.running(dir) != 0 {
			faults = append(faults, d.stop(ctx, uuid, dir))
		}
	}
	return errors.Join(faults...)
}

// running returns the process of the daemon in a directory, 0 if none runs.
func (d *daemons) running(dir string) int {
	raw, err := os.ReadFile(filepath.Join(dir, "pipe", "nvidia-cuda-mps-control.pid"))
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

// command runs the control program for a daemon.
func (d *daemons) command(ctx context.Context, m daemon, input string, args ...string) error {
	return d.run(ctx, m.uuid, d.at(m), input, args...)
}

func (d *daemons) run(ctx context.Context, uuid, dir, input string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(dir, "control.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, d.control, args...)
	cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES="+uuid, "CUDA_MPS_PIPE_DIRECTORY="+filepath.Join(dir, "pipe"), "CUDA_MPS_LOG_DIRECTORY="+filepath.Join(dir, "log"))
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = log, log // a file, and no pipe that a daemon would keep open
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name()) // the error is told in any case
		return fmt.Errorf("%s %s: %w: %s", d.control, strings.Join(args, " "), err, bytes.TrimSpace(said[:min(len(said), maxDetail)]))
	}
	return nil
}

// start starts a daemon unless it runs. d.mu is held.
func (d *daemons) start(ctx context.Context, m daemon) error {
	dir := d.at(m)
	if d.running(dir) != 0 {
		return nil
	}
	for _, sub := range []string{"pipe", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := d.command(ctx, m, "", "-d"); err != nil {
		return err
	}
	return d.await(ctx, dir, true)
}

// stop ends the daemon in a directory. d.mu is held.
func (d *daemons) stop(ctx context.Context, uuid, dir string) error {
	if pid := d.running(dir); pid != 0 {
		asked := d.run(ctx, uuid, dir, "quit\n")
		if asked == nil {
			asked = d.await(ctx, dir, false)
		}
		if asked != nil && d.running(dir) == pid {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return errors.Join(asked, err)
			}
		}
	}
	return d.setMode(context.WithoutCancel(ctx), uuid)
}

// patience is how long a daemon may take to start or end.
const patience = 3 * time.Second

// await waits until a daemon runs or does not.
func (d *daemons) await(ctx context.Context, dir string, running bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for (d.running(dir) != 0) != running {
		select {
		case <-ctx.Done():
			if running {
				return errors.New("it does not start (see control.log and log/ in " + dir + ")")
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
