// Package client is the agent's side of a device plugin: it starts the process, speaks the
// contract with it, and ends it.
//
// Every call has a deadline. A Client lives as long as one process of the plugin; who wants the
// plugin back after a crash starts another (package caravan/agent/device does). Stop ends also a
// process that answers nothing any more. Clients are safe for concurrent use.
package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// Config says how to start a plugin.
type Config struct {
	// Command is the program, absolute, and its arguments. Required.
	Command []string
	// Env is the plugin's environment as KEY=VALUE; it inherits PATH and nothing else.
	Env []string
	// StartTimeout bounds the start; default 15 s: a host that boots is slow.
	StartTimeout time.Duration
	// CallTimeout bounds each short call, and the wait for a first inventory; default 5 s.
	CallTimeout time.Duration
	// StopTimeout is how long a plugin may take to end when asked; default 2 s.
	StopTimeout time.Duration
	// Logger takes the plugin's messages; default none.
	Logger hclog.Logger
}

// Client is one running process of a plugin.
type Client struct {
	cfg      Config
	cmd      *exec.Cmd
	plugin   *goplugin.Client
	lifeline *os.File
	service  pluginv1.DeviceServiceClient
}

// Start starts the plugin and checks that it speaks the contract.
func Start(ctx context.Context, cfg Config) (*Client, error) {
	if len(cfg.Command) == 0 || !filepath.IsAbs(cfg.Command[0]) {
		return nil, fmt.Errorf("plugin command %q must begin with an absolute path", cfg.Command)
	}
	setDefault(&cfg.StartTimeout, 15*time.Second)
	setDefault(&cfg.CallTimeout, 5*time.Second)
	setDefault(&cfg.StopTimeout, 2*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	c := &Client{cfg: cfg}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("start plugin %s: %w", cfg.Command[0], err)
	}
	return c, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// lifelineFD is the descriptor of the lifeline in the plugin: the first of ExtraFiles.
const lifelineFD = 3

func (c *Client) start(ctx context.Context) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	c.lifeline = ours
	c.cmd = exec.Command(c.cfg.Command[0], c.cfg.Command[1:]...)
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), sdk.LifelineEnv + "=" + strconv.Itoa(lifelineFD)}, c.cfg.Env...)
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C at the agent's terminal is the agent's to handle
	c.plugin = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: sdk.Handshake(), Plugins: goplugin.PluginSet{sdk.PluginName: &sdk.GRPC{}},
		Cmd: c.cmd, AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, SkipHostEnv: true, AutoMTLS: true,
		StartTimeout: c.cfg.StartTimeout, Logger: c.cfg.Logger,
	})
	type connected struct {
		service pluginv1.DeviceServiceClient
		err     error
	}
	done := make(chan connected, 1)
	go func() {
		service, err := c.connect()
		done <- connected{service, err}
	}()
	select {
	case <-ctx.Done():
		<-done // StartTimeout bounds it
		return ctx.Err()
	case got := <-done:
		c.service = got.service
		if got.err != nil {
			return got.err
		}
	}
	_, err = c.Describe(ctx)
	return err
}

func (c *Client) connect() (pluginv1.DeviceServiceClient, error) {
	protocol, err := c.plugin.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(sdk.PluginName)
	if err != nil {
		return nil, err
	}
	service, ok := raw.(pluginv1.DeviceServiceClient)
	if !ok {
		return nil, errors.New("it does not serve devices")
	}
	return service, nil
}

// Exited reports whether the process has ended.
func (c *Client) Exited() bool { return c.plugin == nil || c.plugin.Exited() }

// Crash kills the process at once, as a test of what follows a crash.
func (c *Client) Crash() error { return c.signal(syscall.SIGKILL) }

// Abandon lets the plugin believe that its agent is gone, without ending it.
func (c *Client) Abandon() { _ = c.lifeline.Close() } // the second time it is closed already

func (c *Client) signal(sig syscall.Signal) error {
	if c.cmd == nil || c.cmd.Process == nil {
		return os.ErrProcessDone
	}
	return c.cmd.Process.Signal(sig)
}

// Stop ends the process: asked at first, and killed when it does not heed. It may be called again.
func (c *Client) Stop() {
	if c.plugin == nil {
		return
	}
	force := time.AfterFunc(c.cfg.StopTimeout, func() { _ = c.Crash() }) // no error: it ended meanwhile
	defer force.Stop()
	c.plugin.Kill()
	c.Abandon()
}

// call gives a call its deadline.
func (c *Client) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.cfg.CallTimeout)
}

// Describe asks what plugin it is.
func (c *Client) Describe(ctx context.Context) (*pluginv1.DescribeResponse, error) {
	ctx, cancel := c.call(ctx)
	defer cancel()
	return c.service.Describe(ctx, &pluginv1.DescribeRequest{})
}

// Reserve gives shares to an allocation.
func (c *Client) Reserve(ctx context.Context, req *pluginv1.ReserveRequest) (*pluginv1.Edits, error) {
	ctx, cancel := c.call(ctx)
	defer cancel()
	resp, err := c.service.Reserve(ctx, req)
	return resp.GetEdits(), err
}

// Release takes an allocation's shares back.
func (c *Client) Release(ctx context.Context, allocation string) error {
	ctx, cancel := c.call(ctx)
	defer cancel()
	_, err := c.service.Release(ctx, &pluginv1.ReleaseRequest{AllocationId: allocation})
	return err
}

// Health has devices looked at; none means all.
func (c *Client) Health(ctx context.Context, devices ...string) (map[string]*pluginv1.Health, error) {
	ctx, cancel := c.call(ctx)
	defer cancel()
	resp, err := c.service.Health(ctx, &pluginv1.HealthRequest{DeviceIds: devices})
	return resp.GetDevices(), err
}

// errSilent means that a stream has not begun in time.
var errSilent = errors.New("nothing came within the deadline")

// Watch hands each inventory to f until ctx ends, the stream breaks or f returns an error. The
// first has to come within CallTimeout.
func (c *Client) Watch(ctx context.Context, f func(*pluginv1.Inventory) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	first := time.AfterFunc(c.cfg.CallTimeout, func() { cancel(fmt.Errorf("inventory: %w", errSilent)) })
	defer first.Stop()
	stream, err := c.service.Fingerprint(ctx, &pluginv1.FingerprintRequest{})
	for err == nil {
		var inv *pluginv1.Inventory
		if inv, err = stream.Recv(); err == nil {
			first.Stop()
			err = f(inv)
		}
	}
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// Inventory returns the present inventory.
func (c *Client) Inventory(ctx context.Context) (*pluginv1.Inventory, error) {
	var got *pluginv1.Inventory
	enough := errors.New("enough")
	err := c.Watch(ctx, func(inv *pluginv1.Inventory) error {
		got = inv
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return got, err
}

// Stats hands samples to f until ctx ends, the stream breaks or f returns an error. The first has to
// come within CallTimeout, and each further one within that and the interval, which is ten seconds
// when it is not given.
func (c *Client) Stats(ctx context.Context, interval time.Duration, f func(*pluginv1.StatsSample) error) error {
	if interval <= 0 {
		interval = 10 * time.Second
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(c.cfg.CallTimeout, func() { cancel(fmt.Errorf("sample: %w", errSilent)) })
	defer silent.Stop()
	stream, err := c.service.Stats(ctx, &pluginv1.StatsRequest{IntervalMs: interval.Milliseconds()})
	for err == nil {
		var s *pluginv1.StatsSample
		if s, err = stream.Recv(); err == nil {
			silent.Reset(interval + c.cfg.CallTimeout)
			err = f(s)
		}
	}
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// Bounds of calls that take their time, where the caller has none that is nearer.
const (
	maxProgram = 10 * time.Minute
	maxReset   = 5 * time.Minute
)

// Program loads an image and returns when it is loaded. It is bounded by ctx, by the request's own
// timeout (ten minutes without) and CallTimeout beyond that. progress may be nil.
func (c *Client) Program(ctx context.Context, req *pluginv1.ProgramRequest, progress func(*pluginv1.ProgramProgress)) error {
	limit := maxProgram
	if req.TimeoutMs > 0 {
		limit = time.Duration(req.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, limit+c.cfg.CallTimeout)
	defer cancel()
	stream, err := c.service.Program(ctx, req)
	for err == nil {
		var p *pluginv1.ProgramProgress
		if p, err = stream.Recv(); err == nil {
			if progress != nil {
				progress(p)
			}
			if p.Done {
				return nil
			}
		}
	}
	return err
}

// Reset has a device reset that nobody holds. It is bounded by ctx, by the plugin's own limit and by
// five minutes.
func (c *Client) Reset(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, maxReset)
	defer cancel()
	_, err := c.service.Reset(ctx, &pluginv1.ResetRequest{DeviceId: device})
	return err
}

// Clean sets back what a task may have changed on a device and returns what is left on it.
func (c *Client) Clean(ctx context.Context, device string) (*pluginv1.CleanResponse, error) {
	ctx, cancel := c.call(ctx)
	defer cancel()
	return c.service.Clean(ctx, &pluginv1.CleanRequest{DeviceId: device})
}
