package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"caravan/agent/runner"
	"caravan/agent/steps"
	pb "caravan/api/caravanv1"
	"caravan/api/slurm"
)

// step starts the tasks of a step and waits for them.
func (a *App) step(ctx context.Context, door string, r *slurm.Request, command []string) error {
	w, err := a.within()
	if err != nil {
		return err
	}
	p, err := a.plan(r, w)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)
	waiting, give := context.WithCancel(ctx)
	defer give()
	held, id, err := a.enterLedger(waiting, give, signals, door, p, w)
	if err != nil {
		return err
	}
	defer held.close()
	conn, err := dialDoor(door)
	if err != nil {
		return err
	}
	defer conn.Close()
	dir := r.Chdir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return err
		}
	}
	s := &stepRun{
		app: a, request: r, plan: p, step: p.step(id, w, r.CPUsPerTask, a.Getenv("SLURM_LAUNCH_NODE_IPADDR")),
		service: pb.NewTaskServiceClient(conn), command: command, dir: dir, base: inherited(a.Environ()),
	}
	return s.run(ctx, signals)
}

// enterLedger waits for the step's turn; a signal that would end it does so meanwhile.
func (a *App) enterLedger(ctx context.Context, give func(), signals chan os.Signal, door string, p plan, w within) (*ledger, int, error) {
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGTERM || sig == syscall.SIGINT {
					give()
				}
			case <-over:
				return
			}
		}
	}()
	return enter(ctx, filepath.Dir(door), p, w.cpus, func() {
		fmt.Fprintf(a.Err, "srun: Job %s step creation temporarily disabled, retrying (Requested nodes are busy)\n", a.Getenv("SLURM_JOB_ID"))
	})
}

// dialDoor connects to the agent through the socket, whose path may be too long for unix(7).
func dialDoor(path string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///steps", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			dir, err := os.Open(filepath.Dir(path))
			if err != nil {
				return nil, err
			}
			defer dir.Close()
			return (&net.Dialer{}).DialContext(ctx, "unix", steps.ViaDescriptor(dir, filepath.Base(path)))
		}))
}

// forwarded are the signals that a step passes on to its tasks.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT,
	}
}

// inherited is what tasks take over from the environment of srun: all but what belongs to the
// node or to the script.
func inherited(environ []string) map[string]string {
	env := make(map[string]string)
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "", "_", "SHLVL", "PWD", "OLDPWD", "TMPDIR", "HOSTNAME", "HOSTFILE", "NODE_RANK", "PATH",
			"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME":
			continue
		}
		if !strings.HasPrefix(k, "CARAVAN_") {
			env[k] = v
		}
	}
	return env
}

// stepRun is a step under way.
type stepRun struct {
	app     *App
	request *slurm.Request
	plan    plan
	step    slurm.Step
	service pb.TaskServiceClient
	command []string
	dir     string
	base    map[string]string
	writers *writers

	mu    sync.Mutex // guards what follows
	tasks []*stepTask
	worst int
}

// stepTask is one task of a step.
type stepTask struct {
	rank, node int

	mu     sync.Mutex // a stream takes one message at a time
	stream grpc.BidiStreamingClient[pb.ExecRequest, pb.ExecResponse]
}

func (t *stepTask) send(m *pb.ExecRequest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stream.Send(m)
}

func (s *stepRun) run(ctx context.Context, signals <-chan os.Signal) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.writers, err = s.newWriters(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.writers.close()) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	over := make(chan struct{})
	go s.feed()
	go s.relay(signals, over)
	var tasks sync.WaitGroup
	for _, t := range s.tasks {
		tasks.Go(func() { s.follow(t, cancel) })
	}
	tasks.Wait()
	close(over)
	if s.worst != 0 {
		return exitCode(s.worst)
	}
	return nil
}

// start begins all tasks.
func (s *stepRun) start(ctx context.Context) error {
	rank := 0
	for node, n := range s.step.Layout {
		for range n {
			env := maps.Clone(s.base)
			maps.Copy(env, s.step.Environment())
			maps.Copy(env, s.step.Task(rank))
			stream, err := s.service.ExecTask(ctx)
			if err != nil {
				return fmt.Errorf("start task %d: %w", rank, err)
			}
			index := int64(s.plan.nodes[node])
			t := &stepTask{rank: rank, node: node, stream: stream}
			if err := t.send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: &pb.ExecStart{
				Index: &index, Command: s.command, Env: env, Workdir: s.dir,
			}}}); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("start task %d: %w", rank, err)
			}
			s.tasks = append(s.tasks, t)
			rank++
		}
	}
	return nil
}

// follow copies what a task writes until its end.
func (s *stepRun) follow(t *stepTask, cancel func()) {
	out, errOut := s.writers.of(t.rank)
	for {
		m, err := t.stream.Recv()
		if err != nil {
			s.ended(t, startFailed, status.Convert(err).Message(), cancel)
			return
		}
		switch m := m.Message.(type) {
		case *pb.ExecResponse_Stdout:
			_, err = out.Write(m.Stdout)
		case *pb.ExecResponse_Stderr:
			_, err = errOut.Write(m.Stderr)
		case *pb.ExecResponse_ExitCode:
			s.ended(t, int(m.ExitCode), "", cancel)
			return
		}
		if err != nil {
			s.ended(t, startFailed, err.Error(), cancel)
			return
		}
	}
}

// startFailed is the exit code of a task that could not be run.
const startFailed = 2

// ended notes a task's exit code, and ends the others where that is wished.
func (s *stepRun) ended(t *stepTask, code int, message string, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.worst == 0
	s.worst = max(s.worst, code)
	if code == 0 {
		return
	}
	what := fmt.Sprintf("Exited with exit code %d", code)
	switch {
	case message != "":
		what = message
	case code > 128:
		what = syscall.Signal(code - 128).String()
	}
	fmt.Fprintf(s.app.Err, "srun: error: %s: task %d: %s\n", s.step.Nodes[t.node], t.rank, what)
	if s.request.KillOnBadExit && first {
		cancel()
	}
}

// relay passes on signals, and sends the warning before the job's time limit if there is one.
func (s *stepRun) relay(signals <-chan os.Signal, over <-chan struct{}) {
	sig, alarm := s.warning()
	for {
		select {
		case got := <-signals:
			if n, ok := got.(syscall.Signal); ok {
				s.signal(n)
			}
		case <-alarm:
			s.signal(sig)
		case <-over:
			return
		}
	}
}

func (s *stepRun) warning() (syscall.Signal, <-chan time.Time) {
	name, at, ok := strings.Cut(s.app.Getenv(runner.StepWarningVariable), "@")
	n, err1 := strconv.Atoi(name)
	ms, err2 := strconv.ParseInt(at, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return 0, nil
	}
	return syscall.Signal(n), time.After(max(0, time.UnixMilli(ms).Sub(s.app.Now())))
}

func (s *stepRun) signal(sig syscall.Signal) {
	for _, t := range s.tasks {
		// A task that has ended takes none.
		_ = t.send(&pb.ExecRequest{Message: &pb.ExecRequest_Signal{Signal: int32(sig)}})
	}
}

// feed gives every task what srun is given to read.
func (s *stepRun) feed() {
	in := s.app.In
	switch name := s.request.Input; name {
	case "", "all":
	case "none":
		in = strings.NewReader("")
	default:
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintf(s.app.Err, "srun: error: %v\n", err)
			in = strings.NewReader("")
			break
		}
		defer f.Close()
		in = f
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		for _, t := range s.tasks {
			if n > 0 {
				_ = t.send(&pb.ExecRequest{Message: &pb.ExecRequest_Stdin{Stdin: append([]byte(nil), buf[:n]...)}})
			}
			if err != nil {
				_ = t.send(&pb.ExecRequest{Message: &pb.ExecRequest_StdinClosed{StdinClosed: true}})
			}
		}
		if err != nil {
			return
		}
	}
}
