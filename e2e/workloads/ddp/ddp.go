// Package ddp is the reference training job: a small recurrent network on two ranks with
// PyTorch's DistributedDataParallel, on agents in network namespaces of their own. Its log is
// deterministic to the bit, so the proof that a rank was killed, a node cut off or a task
// asked to leave without harm is that the log says what an undisturbed run's does.
//
// PyTorch weighs 552 MB, so its tests carry the build tag "full"; `make e2e-full` runs them.
// Package ring shows the same promises on every push.
package ddp

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed train.py
var program []byte

// Python is Debian's own, which python3-torch belongs to.
const Python = "/usr/bin/python3"

// Prepare writes the program into src below dir, and a job file that sends it along, and
// returns the job file's path. The ranks leave checkpoint, losses and events in dir. head is
// what the job file says besides, options what is added to the command.
func Prepare(dir, head, options string) (path string, err error) {
	src := filepath.Join(dir, "src")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(src, "train.py"), program, 0o644); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`name: ddp
sync: src
%s
run: exec %s train.py --dir %s %s
resources: {cpu: 0.5, memory: 1GiB}
kill_grace: 30s
`, head, Python, dir, options)
	path = filepath.Join(dir, "ddp.yaml")
	return path, os.WriteFile(path, []byte(text), 0o644)
}
