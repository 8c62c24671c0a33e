package runner

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"caravan/agent/driver"
	"caravan/agent/sandbox"
	"caravan/agent/shim"
	"caravan/agent/steps"
	pb "caravan/api/caravanv1"
	"caravan/api/slurm"
)

// A batch script runs on the first node of its group. The others hold what they were given
// for the steps that the script starts there.

// Steps opens the doors through which batch scripts start steps; see package steps.
type Steps interface {
	Open(as *pb.Assignment, dir string) error
	Close(allocation string)
}

// Names in the directory that a script finds as TMPDIR.
const (
	scriptName = "slurm_script"
	linksName  = "bin"
)

// StepsVariable names the socket to a script and to the commands that it calls.
const StepsVariable = "CARAVAN_STEPS"

// StepWarningVariable tells the commands that run steps to send them a signal: SIGNAL@TIME, in
// milliseconds since the Unix epoch.
const StepWarningVariable = "CARAVAN_STEP_WARNING"

// waiting is what the nodes run that the script is not on.
var waiting = [...]string{"/bin/sleep", "infinity"}

// commands are what a batch script may call by their names.
func commands() []string {
	return []string{"srun", "sbatch", "squeue", "scancel", "sinfo", "sacct", "scontrol"}
}

// leads reports whether an allocation runs its group's script.
func leads(a *pb.Assignment) bool { return a.Gang == nil || a.Gang.Rank == 0 }

// batch makes a batch group's allocation what it is: spec runs the script, or waits.
func batch(a *pb.Assignment, spec *driver.AllocSpec) {
	b := a.Group.GetBatch()
	if b == nil {
		return
	}
	tmp := filepath.Join(spec.Dir, shim.TmpDir)
	if !leads(a) {
		// The script's end is this one's, and so are its limits.
		spec.Argv, spec.TimeLimitMs, spec.NoOutputMs = waiting[:], 0, 0
		return
	}
	spec.Argv = append([]string{filepath.Join(tmp, scriptName)}, b.Arguments...)
	names := namesOf(a)
	output := b.Output
	switch output {
	case "":
		output = names.Default()
	case "none":
		output = ""
	}
	spec.Files = &driver.Files{Stdin: names.Expand(b.Input), Stdout: names.Expand(output), Stderr: names.Expand(b.Error), Append: b.Append}
	if b.Signal > 0 && !b.SignalSteps {
		spec.Warning = &driver.Warning{Signal: int(b.Signal), BeforeMs: b.SignalBeforeMs}
	}
}

// jobNumber is the number at the end of a job's id.
func jobNumber(id string) int64 {
	n, _ := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64) // ids end so
	return n
}

func namesOf(a *pb.Assignment) slurm.Names {
	f := factsOf(a)
	return slurm.Names{
		Job: f.Job, ArrayJob: f.ArrayJob, Index: f.Index, Arrayed: f.Arrayed, Name: a.Group.Batch.Name, User: a.Owner,
		Node: a.Allocation.Node, NodeNumber: f.Number, Step: "batch",
	}
}

// factsOf gathers what the environment of a script says.
func factsOf(a *pb.Assignment) slurm.Allocation {
	al, b := a.Allocation, a.Group.Batch
	number := jobNumber(al.JobId)
	f := slurm.Allocation{
		Job: number, ArrayJob: number, Index: -1, Nodes: []string{al.Node}, Address: "127.0.0.1",
		CPUs: wholeCores(al.CpuMilli), GPUs: int64(len(al.Devices)), Restarts: int64(max(0, al.Attempt-1)), User: a.Owner,
		StartMs: al.PlacedMs, LimitMs: a.Group.TimeLimitMs,
	}
	if g := a.Gang; g != nil {
		f.Nodes, f.Number, f.Address = strings.Fields(listed(g.Nodes, (*pb.GangNode).GetName)), int(g.NodeRank), g.Nodes[0].Host
	} else if a.Group.Env["SLURM_ARRAY_TASK_COUNT"] != "" && len(al.Indices) > 0 {
		f.Arrayed, f.Index, f.Job = true, al.Indices[0], number+al.Ordinal
	}
	f.Layout = slurm.NewLayout(len(f.Nodes), int(b.Tasks), int(b.TasksPerNode))
	return f
}

// batchEnvironment returns the variables that a script finds, and those that it and the job
// may override. dir is the allocation's directory.
func batchEnvironment(a *pb.Assignment, dir, path string) (fixed, defaults map[string]string) {
	if a.Group.GetBatch() == nil {
		return nil, nil
	}
	f := factsOf(a)
	tmp := filepath.Join(dir, shim.TmpDir)
	fixed = map[string]string{
		"PATH": filepath.Join(tmp, linksName) + ":" + path, StepsVariable: filepath.Join(tmp, steps.SocketName),
	}
	maps.Copy(fixed, f.Environment())
	if b := a.Group.Batch; b.Signal > 0 && b.SignalSteps && f.LimitMs > 0 {
		at := f.StartMs + f.LimitMs - b.SignalBeforeMs
		fixed[StepWarningVariable] = strconv.Itoa(int(b.Signal)) + "@" + strconv.FormatInt(at, 10)
	}
	threads := a.Group.Env["SLURM_CPUS_PER_TASK"]
	if threads == "" {
		threads = strconv.FormatInt(max(1, f.CPUs/max(1, int64(f.Layout[f.Number]))), 10)
	}
	return fixed, map[string]string{"OMP_NUM_THREADS": threads}
}

// equipBatch puts the script, and links for the commands that it knows, where it will find
// them, and opens its door.
func (r *Runner) equipBatch(a *allocation) error {
	b := a.assignment.Group.GetBatch()
	if b == nil {
		return nil
	}
	if r.cfg.Steps == nil {
		return errors.New("this node runs no batch scripts")
	}
	tmp := filepath.Join(a.dir, shim.TmpDir)
	links := filepath.Join(tmp, linksName)
	for dir, mode := range map[string]os.FileMode{tmp: 0o700, links: 0o755} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, scriptName), []byte(b.Script), 0o755); err != nil { //nolint:gosec // it is to be executed
		return err
	}
	program, err := visible(r.cfg.Program, links)
	if err != nil {
		return err
	}
	for _, name := range commands() {
		if err := os.Symlink(program, filepath.Join(links, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := r.cfg.Steps.Open(a.assignment, tmp); err != nil {
		return fmt.Errorf("batch script: %w", err)
	}
	return nil
}

// visible returns where a task finds a program: where it lies, but for one in a directory of which
// a task in a sandbox has its own. Such a one is copied into dir.
func visible(program, dir string) (string, error) {
	if !slices.ContainsFunc(sandbox.Temporary(), func(own string) bool { return strings.HasPrefix(program, own+"/") }) {
		return program, nil
	}
	from, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer from.Close()
	path := filepath.Join(dir, "caravan")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755) //nolint:gosec // it is to be executed
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return path, errors.Join(err, to.Close())
}

// closeSteps ends the steps of a script that has ended.
func (r *Runner) closeSteps(a *allocation) {
	if r.cfg.Steps != nil && a.assignment.Group.GetBatch() != nil {
		r.cfg.Steps.Close(a.id)
	}
}

// reopenSteps opens the door of a script that an earlier agent started. Without it the script
// runs on and its steps fail.
func (r *Runner) reopenSteps(a *allocation) {
	if r.cfg.Steps == nil || a.assignment.Group.GetBatch() == nil {
		return
	}
	if err := r.cfg.Steps.Open(a.assignment, filepath.Join(a.dir, shim.TmpDir)); err != nil {
		r.cfg.Logger.Error("a batch script can start no more steps", "allocation", a.id, "error", err)
	}
}
