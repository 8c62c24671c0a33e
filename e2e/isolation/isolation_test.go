package isolation

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
)

// world is a cluster with one agent that shuts tasks off as by default.
type world struct {
	t   *testing.T
	ctx context.Context
	c   *harness.Cluster
	sdk *client.Client
	dir string
	exe string // this program, where tasks find it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: ctx, dir: dir, exe: filepath.Join(dir, "tool")}
	w.copyProgram(w.exe, 0o755)
	w.c, err = harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: 1, ServerFlags: []string{"--timing", "lan"},
		AgentFlags: []string{"--task-user", "auto", "--isolation", "standard"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.c.Stop)
	if w.sdk, err = client.New(client.Config{Addresses: []string{w.c.Servers[0].Addr}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sdk.Close() })
	t.Cleanup(w.stopJobs)
	return w
}

func (w *world) copyProgram(to string, mode os.FileMode) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := os.Open(self)
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		w.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(to, mode); err != nil {
		w.t.Fatal(err)
	}
}

// submit starts a job of one task and returns its id.
func (w *world) submit(name string, g *pb.TaskGroup, command ...string) string {
	w.t.Helper()
	g.Name, g.Indices = "main", []*pb.IndexRange{{Step: 1}}
	v := &pb.Variant{Name: "cpu", Command: command, Resources: &pb.Resources{CpuMilli: 100, MemoryMib: 256, DiskMib: 32}}
	g.Variants = []*pb.Variant{v}
	r, err := w.sdk.Jobs.SubmitJob(w.ctx, &pb.SubmitJobRequest{
		RequestId: client.NewRequestID(), Owner: "mallory", Spec: &pb.JobSpec{Name: name, Groups: []*pb.TaskGroup{g}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.JobId
}

// stopJobs ends what still runs: tasks outlive their agent.
func (w *world) stopJobs() {
	l, err := w.sdk.Jobs.ListJobs(w.ctx, &pb.ListJobsRequest{})
	if err != nil {
		w.t.Error(err)
	}
	for _, j := range l.GetJobs() {
		if j.State > pb.JobState_JOB_STATE_RUNNING {
			continue
		}
		if _, err := w.sdk.Jobs.StopJob(w.ctx, &pb.StopJobRequest{RequestId: client.NewRequestID(), JobId: j.Id}); err != nil {
			w.t.Error(err)
		}
		w.end(j.Id)
	}
}

// end waits until a job has ended and returns its only attempt and what it wrote.
func (w *world) end(id string) (*pb.Allocation, string) {
	w.t.Helper()
	var last *pb.Allocation
	err := harness.Eventually(w.ctx, func() (bool, error) {
		l, err := w.sdk.Jobs.ListTasks(w.ctx, &pb.ListTasksRequest{JobId: id})
		if err != nil || len(l.Tasks) != 1 {
			return false, err
		}
		last = l.Tasks[0].Last
		if l.Tasks[0].Attempts > 1 {
			return false, fmt.Errorf("%s was tried %d times", id, l.Tasks[0].Attempts)
		}
		return last.GetState() >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED, nil
	})
	if err != nil {
		w.t.Fatalf("waiting for %s: %v (%v)", id, err, last)
	}
	return last, w.output(id)
}

func (w *world) output(id string) string {
	w.t.Helper()
	var out strings.Builder
	for c, err := range w.sdk.ReadLogs(w.ctx, &pb.ReadLogsRequest{JobId: id}) {
		if err != nil {
			w.t.Fatal(err)
		}
		out.Write(c.Data)
	}
	return out.String()
}

func (w *world) allocDir(id string) string {
	return filepath.Join(w.dir, "a1", "allocs", id+".main.0.1")
}

// status waits until a task runs and returns its PIDs on the host.
func (w *world) status(id string) (s struct {
	PID     int `json:"pid"`
	ShimPID int `json:"shim_pid"`
}) {
	w.t.Helper()
	err := harness.Eventually(w.ctx, func() (bool, error) {
		raw, err := os.ReadFile(filepath.Join(w.allocDir(id), "status.json"))
		return err == nil && json.Unmarshal(raw, &s) == nil && s.PID != 0, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// ticks is how often the victim ticks, and tick how long it rests in between.
const (
	ticks = 400
	tick  = 10 * time.Millisecond
)

// playVictim keeps secrets and ticks, until the file "enough" tells it that all is over.
func playVictim() error {
	if err := os.WriteFile("secret", []byte("secret"), 0o666); err != nil {
		return err
	}
	for _, name := range []string{"/tmp/victim", "/dev/shm/victim"} {
		if err := os.WriteFile(name, []byte("secret"), 0o666); err != nil {
			return err
		}
	}
	if err := sysvMake(); err != nil {
		return err
	}
	every := time.NewTicker(tick)
	for n := 1; ; n++ {
		fmt.Println("tick", n)
		<-every.C
		if _, err := os.Stat("enough"); err == nil && n >= ticks {
			return nil
		}
	}
}

// undisturbed ends the victim and checks that it and the agent noticed nothing.
func (w *world) undisturbed(victim string, agent int) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.allocDir(victim), "work", "enough"), nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
	a, out := w.end(victim)
	if a.State != pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
		w.t.Errorf("the neighbour ended as %v: %v\n%s", a.State, a.Exit, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, l := range lines {
		if l != fmt.Sprint("tick ", i+1) {
			w.t.Fatalf("line %d of the neighbour is %q", i+1, l)
		}
	}
	if !w.c.Agents[0].Running() || w.c.Agents[0].PID() != agent {
		w.t.Error("the agent was ended")
	}
	for e, err := range w.sdk.StreamEvents(w.ctx, &pb.StreamEventsRequest{FromIndex: 1, NoFollow: true}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(e.Type, "node.") && e.Type != "node.registered" && e.Type != "node.changed" {
			w.t.Errorf("the servers missed the node: %v", e)
		}
	}
}

func TestATaskCannotDoWhatIsForbidden(t *testing.T) {
	w := newWorld(t)
	suid := filepath.Join(w.dir, "suid")
	w.copyProgram(suid, 0o755|os.ModeSetuid)
	victim := w.submit("victim", &pb.TaskGroup{Env: map[string]string{"PASSWORD": "secret"}}, w.exe, "victim")
	v := w.status(victim)
	if err := harness.Eventually(w.ctx, func() (bool, error) {
		_, err := os.Stat(filepath.Join(w.allocDir(victim), "tmp", "victim"))
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	known, err := json.Marshal(target{
		DataDir: filepath.Join(w.dir, "a1"), VictimDir: w.allocDir(victim), OwnDir: w.allocDir("attacker-2"),
		Victim: v.PID, Shim: v.ShimPID, Agent: w.c.Agents[0].PID(), Suid: suid, VictimShm: "victim",
	})
	if err != nil {
		t.Fatal(err)
	}
	attacker := w.submit("attacker", &pb.TaskGroup{Env: map[string]string{targetEnv: string(known)}}, w.exe, "attack")
	if attacker != "attacker-2" {
		t.Fatalf("the attacker's job is %s", attacker)
	}
	a, out := w.end(attacker)
	if a.State != pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
		t.Fatalf("the attacker could not try: %v\n%s", a.Exit, out)
	}
	refused := map[string]bool{}
	for l := range strings.Lines(out) {
		verdict, rest, _ := strings.Cut(strings.TrimSpace(l), "\t")
		name, _, _ := strings.Cut(rest, "\t")
		refused[name] = verdict == "refused"
	}
	for _, a := range attacks() {
		if !refused[a.name] {
			t.Errorf("a task could: %s", a.name)
		}
	}
	t.Log("\n" + out)
	w.undisturbed(victim, w.c.Agents[0].PID())
}

func TestBombsHurtNobodyElse(t *testing.T) {
	w := newWorld(t)
	victim := w.submit("victim", &pb.TaskGroup{}, w.exe, "victim")
	w.status(victim)
	agent := w.c.Agents[0].PID()
	for bomb, reasons := range map[string]string{"fork": "exited oom", "memory": "oom", "disk": "scratch"} {
		id := w.submit(bomb, &pb.TaskGroup{}, w.exe, bomb)
		a, out := w.end(id)
		if a.State != pb.AllocationState_ALLOCATION_STATE_FAILED || !strings.Contains(reasons, a.Exit.Reason) {
			t.Errorf("the %s bomb ended as %v: %v\n%.2000s", bomb, a.State, a.Exit, out)
		}
	}
	w.undisturbed(victim, agent)
}

// Links are where an agent that is root could be led to read or write what the task may not.
func TestLinksDoNotLeadTheAgentAstray(t *testing.T) {
	w := newWorld(t)
	for name, script := range map[string]string{
		"file":      "ln -s /etc/shadow out.txt",
		"directory": "ln -s /etc sub; ln -s sub/shadow out.txt",
		"neighbour": "ln -s ../../../agent.lock out.txt",
		"fifo":      "mkfifo out.txt",
	} {
		to := filepath.Join(w.dir, "published-"+name)
		id := w.submit(name, &pb.TaskGroup{Outputs: []*pb.Output{{Path: "out.txt", To: to}}}, "/bin/sh", "-c", script)
		if a, _ := w.end(id); a.State != pb.AllocationState_ALLOCATION_STATE_FAILED {
			t.Errorf("%s: ended as %v", name, a.State)
		}
		if _, err := os.Lstat(to); !os.IsNotExist(err) {
			t.Errorf("%s: something was published: %v", name, err)
		}
	}
}

func TestOrdinaryWorkIsNotHindered(t *testing.T) {
	w := newWorld(t)
	to := filepath.Join(w.dir, "out.txt")
	id := w.submit("work", &pb.TaskGroup{Outputs: []*pb.Output{{Path: "out.txt", To: to}}}, "/bin/sh", "-euc",
		`echo temp > $TMPDIR/a; cat /tmp/a; echo sh > /dev/shm/a; head -c 4 /dev/urandom | wc -c; (sleep 0.01 &) ; kill -0 $$; nice true
		 test $(id -u) -ge 2000000000; test -w . ; ls / /usr /sys /proc/cpuinfo > /dev/null; date > out.txt`)
	a, out := w.end(id)
	if a.State != pb.AllocationState_ALLOCATION_STATE_SUCCEEDED || out != "temp\n4\n" {
		t.Fatalf("ended as %v: %v\n%s", a.State, a.Exit, out)
	}
	st, err := os.Stat(to)
	if err != nil || st.Size() == 0 {
		t.Errorf("published %v, %v", st, err)
	}
}

// A command beside a task is where the task is: its user, its /tmp, its processes, no more
// privileges.
func TestACommandBesideATaskIsShutOffLikeIt(t *testing.T) {
	w := newWorld(t)
	id := w.submit("victim", &pb.TaskGroup{}, w.exe, "victim")
	w.status(id)
	script := `until [ -e /tmp/victim ]; do sleep 0.02; done; id -u; cat /tmp/victim; echo; cat /proc/2/comm; grep -E 'NoNewPrivs|CapEff' /proc/self/status; ls -d /proc/[0-9]* | wc -l`
	out, err := w.c.CLI(w.ctx, "exec", id, "--", "/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := []string{"2000000000", "secret", "tool", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"}
	if len(lines) != 6 || strings.Join(lines[:5], "|") != strings.Join(want, "|") {
		t.Errorf("got %q", out)
	}
	if n, err := strconv.Atoi(lines[len(lines)-1]); err != nil || n > 8 {
		t.Errorf("it sees %s processes", lines[len(lines)-1])
	}
}

func TestAPortOfATaskIsReachedFromAfar(t *testing.T) {
	w := newWorld(t)
	id := w.submit("server", &pb.TaskGroup{}, w.exe, "serve")
	var port []byte
	if err := harness.Eventually(w.ctx, func() (bool, error) {
		var err error
		port, err = os.ReadFile(filepath.Join(w.allocDir(id), "work", "port"))
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	cmd := w.c.CLI(w.ctx, "port-forward", id+"/main", "0:"+string(port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("port-forward ended with %v", err)
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.Fields(line)[1]
	for i := range 3 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		sent := strings.Repeat(fmt.Sprint("hello ", i), 20_000)
		go func() {
			_, _ = io.WriteString(conn, sent)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != sent {
			t.Errorf("connection %d: %d of %d bytes came back, %v", i, len(got), len(sent), err)
		}
		_ = conn.Close()
	}
}

func TestAJobMayAskForMoreIsolationAndNotForLess(t *testing.T) {
	w := newWorld(t)
	strict := w.submit("strict", &pb.TaskGroup{Isolation: "strict"}, "/bin/sh", "-c",
		`touch a /tmp/a || exit 1; touch /var/lock/a /run/a /usr/a && exit 2; awk '$2 == "/" {print $4}' /proc/mounts | cut -d, -f1`)
	if a, out := w.end(strict); a.State != pb.AllocationState_ALLOCATION_STATE_SUCCEEDED || !strings.Contains(out, "ro\n") {
		t.Errorf("strict ended as %v: %v\n%s", a.State, a.Exit, out)
	}
	host := w.submit("host", &pb.TaskGroup{Isolation: "host"}, "/bin/true")
	if a, _ := w.end(host); a.Exit.GetReason() != "launch-failed" || !strings.Contains(a.Exit.GetMessage(), "isolation: host is not allowed on this node") {
		t.Errorf("host ended as %v: %v", a.State, a.Exit)
	}
}
