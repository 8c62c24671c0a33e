package containers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestJobsRunInContainers goes through what a job sees of its container, and what is said of images
// that cannot be had. It is one test because it is one daemon and one cluster.
func TestJobsRunInContainers(t *testing.T) {
	w := newWorld(t)
	data := dataDir(t)
	for _, tt := range []struct {
		name, job string
		code      int
		stdout    []string
		stderr    string
	}{
		{
			name: "the files, the variables and the command are the image's", job: "image: " + imageName,
			stdout: []string{"entry cmd\n"},
		},
		{
			name:   "a command of the job's own replaces the image's",
			job:    "image: " + imageName + "\nenv: {MINE: x}\nrun: 'cat /etc/os-release; echo $FROM_IMAGE $MINE $PATH $CARAVAN_INDEX; [ $PWD = $HOME ]'",
			stdout: []string{"ID=tools\n", "yes x /bin 0\n"},
		},
		{
			name:   "an entrypoint comes before it",
			job:    "image: " + imageName + "\nentrypoint: [echo, before]\ncommand: [after]",
			stdout: []string{"before after\n"},
		},
		{
			name:   "no privileges, a user of its own, its own processes and devices",
			job:    "image: " + imageName + "\nrun: 'grep -E \"^(CapEff|CapBnd|NoNewPrivs|Seccomp):\" /proc/self/status; id; echo devices $(ls /dev)'",
			stdout: []string{"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "uid=2", "devices fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n"},
		},
		{
			name: "the image can be written to, if permissions allow it, and each task has its own",
			job:  "image: " + imageName + "\narray: 0-1\nmax_running: 1\nrun: '[ ! -e /free/x ]; touch /free/x; ! touch /bin/x'",
		},
		{
			name:   "isolation: strict makes it read-only, and mounts are unless they say otherwise",
			job:    "image: " + imageName + "\nisolation: strict\nmounts: [{from: " + data + ", to: /data}]\nrun: '! touch /free/x; ! touch /data/x; touch here; cat /data/f'",
			stdout: []string{"from the host\n"},
		},
		{
			name: "what is mounted to be written to, a verify command and outputs",
			job:  "image: " + imageName + "\nmounts: [{from: " + data + ", to: /data, write: true}]\nrun: 'touch /data/written; echo x > out.txt'\nverify: grep -q x out.txt\noutputs: [{path: out.txt, to: " + data + "/}]",
		},
		{
			name: "exit codes are the command's", job: "image: " + imageName + "\nrun: exit 7", code: 7,
		},
		{
			name: "a time limit", job: "image: " + imageName + "\ntime_limit: 500ms\nrun: sleep 1000", code: 143, stderr: "time limit",
		},
		{
			name: "the memory limit holds, and is told apart", job: "image: " + imageName + "\nresources: {memory: 32MiB}\nrun: 'x=a; while :; do x=$x$x; done'", code: 137, stderr: "(oom)",
		},
		{
			name: "a command that the image does not have", job: "image: " + imageName + "\ncommand: [python3]", code: 127, stderr: "python3: not found in PATH /bin",
		},
		{
			name: "an image that is not there", job: "image: caravan.test/absent:1\npull: never\nrun: echo", code: 126, stderr: "is not on this node",
		},
		{
			name: "a name that is none", job: "image: caravan.test/UPPER:1\nrun: echo", code: 126, stderr: "must be lowercase",
		},
		{
			name: "what the agent keeps cannot be mounted", job: "image: " + imageName + "\nmounts: [{from: " + w.dir + "}]\nrun: echo", code: 126, stderr: "cannot be mounted",
		},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			w.t = t
			out, errs, code := w.job("name: x\n" + tt.job + "\n")
			if code != tt.code || !strings.Contains(errs, tt.stderr) {
				t.Errorf("code %d, want %d and %q\n%s%s", code, tt.code, tt.stderr, out, errs)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
	w.t = t
	for _, name := range []string{"written", "out.txt"} {
		if _, err := os.Stat(filepath.Join(data, name)); err != nil {
			t.Error(err)
		}
	}
	if left := w.ctr("containers", "ls", "-q"); left != "" {
		t.Errorf("containerd still has\n%s", left)
	}
}

// dataDir is a directory of the host that tasks may mount, which /tmp is not.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "caravan-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAContainerOutlivesAgentAndDaemon kills both while it runs, looks into it, and gets its exit code.
func TestAContainerOutlivesAgentAndDaemon(t *testing.T) {
	w := newWorld(t)
	job := w.start("name: x\nimage: " + imageName + "\nrun: 'echo begun; while [ ! -e /free/go ]; do sleep 0.05; done; exit 7'\n")
	w.eventually("begun", "logs", job)
	w.c.Agents[0].Kill()
	w.stopDaemon()
	if err := w.c.Agents[0].Restart(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.eventually("ID=tools", "exec", job, "--", "cat", "/etc/os-release")
	// The node takes no containers now, and why says so.
	waiting := w.start("name: y\nimage: " + imageName + "\nrun: echo later\n")
	w.eventually("a container runtime", "why", waiting)
	w.startDaemon()
	if out, errs, code := w.cli("exec", job, "--", "touch", "/free/go"); code != 0 {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	w.eventually(job+"  failed", "status", job)
	if out, errs, _ := w.cli("status", job); !regexp.MustCompile(`failed +1 +a1 +default +7 `).MatchString(out) {
		t.Errorf("status:\n%s%s", out, errs)
	}
	// Once it is back, so is what waits for it.
	w.eventually(waiting+"  succeeded", "status", waiting)
}
