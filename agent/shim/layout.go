package shim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
)

// Names within an allocation's directory.
const (
	specName   = "spec.json"
	lockName   = "shim.lock"
	socketName = "shim.sock"
	shimLog    = "shim.log"
	statusName = "status.json"
	exitName   = "exit.json"

	// WorkDir, TmpDir, LogDir and OutDir are the directories within an allocation's directory.
	// The first two are the task's.
	WorkDir = "work"
	TmpDir  = "tmp"
	LogDir  = "logs"
	OutDir  = "out"

	// rootDir is where a root of the task's own is put together, in its sandbox alone.
	rootDir = "root"
)

// AllocDirEnv is the environment variable that names the allocation's directory to its processes.
// Without a control group it also is how processes of a dead shim are recognised: by the
// directory, because two clusters on one host may each have an allocation of the same id.
const AllocDirEnv = "CARAVAN_ALLOC_DIR"

// specFile is the content of spec.json.
type specFile struct {
	driver.AllocSpec
	// CgroupParent is the control group below which the task's is made; "" means no limits.
	CgroupParent string `json:"cgroup_parent,omitempty"`
	// DeviceWall keeps the task from devices that it was not given.
	DeviceWall bool `json:"device_wall,omitempty"`
	// Lease is the file that holds the node's lease; see package lease.
	Lease string `json:"lease,omitempty"`
	// Hide and Share are what a sandbox hides of the host, and what it keeps.
	Hide  []string `json:"hide,omitempty"`
	Share []string `json:"share,omitempty"`
}

// taskPrefix begins the name of a task's control group.
const taskPrefix = "task-"

// TaskOfGroup returns the allocation whose task's control group a process is in, by the path of the
// process's group as /proc/PID/cgroup has it; false for a group of nobody's.
func TaskOfGroup(group string) (allocation string, ok bool) {
	for element := range strings.SplitSeq(group, "/") {
		rest, task := strings.CutPrefix(element, taskPrefix)
		if end := strings.LastIndexByte(rest, '-'); task && end > 0 && len(rest)-end-1 == 2*hashBytes {
			return rest[:end], true
		}
	}
	return "", false
}

// hashBytes are those of the directory's hash that a group's name has.
const hashBytes = 4

// taskGroup is the task's control group. It follows from the spec alone, so that it can be
// found when the shim died before it could write it down. The directory's hash keeps apart the
// allocations of two clusters on one host that share an id and a parent.
func (s specFile) taskGroup() string {
	sum := sha256.Sum256([]byte(filepath.Clean(s.Dir)))
	return filepath.Join(s.CgroupParent, taskPrefix+s.ID+"-"+hex.EncodeToString(sum[:hashBytes]))
}

// shimGroup is where all shims of a host live, away from the agent's group.
func (s specFile) shimGroup() string { return filepath.Join(s.CgroupParent, "shim") }

// workDir is where the command runs.
func (s specFile) workDir() string {
	if s.WorkDir != "" {
		return s.WorkDir
	}
	return filepath.Join(s.Dir, WorkDir)
}

// environment is the command's environment: the spec's and the allocation's directory.
func (s specFile) environment() []string {
	for _, kv := range s.Env {
		if strings.HasPrefix(kv, AllocDirEnv+"=") {
			return s.Env
		}
	}
	return append(s.Env[:len(s.Env):len(s.Env)], AllocDirEnv+"="+filepath.Clean(s.Dir))
}

func (s specFile) limits() cgroup.Limits {
	var rules []cgroup.DeviceRule
	for _, d := range s.Devices {
		rules = append(rules, cgroup.DeviceRule{Type: rune(d.Type[0]), Major: d.Major, Minor: d.Minor, Permissions: d.Permissions})
	}
	return cgroup.Limits{
		DeviceWall: s.DeviceWall, Devices: rules,
		CPUWeightMilli: s.Resources.CPUMilli, CPUQuotaMilli: s.Resources.CPUQuotaMilli,
		MemoryBytes: s.Resources.MemoryBytes, Pids: s.Resources.Pids,
		CPUs: s.Resources.CPUs, MemoryNodes: s.Resources.MemoryNodes,
	}
}

func readSpec(dir string) (specFile, error) {
	var s specFile
	if err := readJSON(filepath.Join(dir, specName), &s); err != nil {
		return s, err
	}
	if filepath.Clean(s.Dir) != filepath.Clean(dir) {
		return s, fmt.Errorf("%s in %s is of directory %s (was the allocation moved?)", specName, dir, s.Dir)
	}
	return s, nil
}

func readStatus(dir string) (driver.Status, error) {
	var s driver.Status
	return s, readJSON(filepath.Join(dir, statusName), &s)
}

func readExit(dir string) (driver.Exit, error) {
	var e driver.Exit
	return e, readJSON(filepath.Join(dir, exitName), &e)
}

// writeStatus replaces the status. It is not synced: after a power cut the boot id is a new
// one, and the status says nothing any more.
func writeStatus(dir string, s driver.Status) error {
	return writeJSON(filepath.Join(dir, statusName), s, false)
}

// writeExit puts the exit on disk for good.
func writeExit(dir string, e driver.Exit) error {
	if err := writeJSON(filepath.Join(dir, exitName), e, true); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readJSON(name string, v any) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// writeJSON replaces a file atomically, readable by the owner alone: specs hold secrets.
func writeJSON(name string, v any, sync bool) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	tmp := name + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// bootID identifies this boot of the kernel; see random(4).
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
