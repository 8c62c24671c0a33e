package isolation

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// target is what the attacker knows: more than a task would.
type target struct {
	DataDir           string // the agent's
	VictimDir, OwnDir string // allocations
	Victim, Shim      int    // PIDs on the host
	Agent             int
	Suid              string // a program with root's set-user-ID bit that tells its effective user
	VictimShm         string
}

// attack is a thing that a task must not be able to do: try returns nil if it could.
type attack struct {
	name string
	try  func(t target) error
}

// attacks is the table. Each is tried from within an ordinary task.
func attacks() []attack {
	var all []attack
	for _, part := range [][]attack{deviceAttacks(), fileAttacks(), processAttacks(), privilegeAttacks(), kernelAttacks(), groupAttacks()} {
		all = append(all, part...)
	}
	return all
}

func read(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func deviceAttacks() []attack {
	return []attack{
		{"open /dev/mem", func(target) error { return read("/dev/mem") }},
		{"open /dev/kmsg", func(target) error { return write("/dev/kmsg", "x") }},
		{"open the disk", func(target) error { return firstDisk() }},
		{"open /dev/loop-control", func(target) error { return read("/dev/loop-control") }},
		{"make a device node", func(target) error { return unix.Mknod("disk", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))) }},
		{"make a node in /dev", func(target) error { return create("/dev/mine") }},
	}
}

// firstDisk opens any block device there is to see.
func firstDisk() error {
	names, err := filepath.Glob("/dev/[svn][dmv]*")
	if err != nil || len(names) == 0 {
		return errors.Join(err, os.ErrNotExist)
	}
	for _, n := range names {
		if err = read(n); err == nil {
			return nil
		}
	}
	return err
}

func fileAttacks() []attack {
	return []attack{
		{"read another task's file", func(t target) error { return read(filepath.Join(t.VictimDir, "work", "secret")) }},
		{"list another task's directory", func(t target) error { _, err := os.ReadDir(filepath.Join(t.VictimDir, "work")); return err }},
		{"write into another task's directory", func(t target) error { return create(filepath.Join(t.VictimDir, "work", "planted")) }},
		{"list all tasks", func(t target) error { _, err := os.ReadDir(filepath.Join(t.DataDir, "allocs")); return err }},
		{"read the agent's lock", func(t target) error { return read(filepath.Join(t.DataDir, "agent.lock")) }},
		{"read own assignment", func(t target) error { return read(filepath.Join(t.OwnDir, "assignment.json")) }},
		{"read own spec", func(t target) error { return read(filepath.Join(t.OwnDir, "spec.json")) }},
		{"talk to own shim", func(t target) error { _, err := net.Dial("unix", filepath.Join(t.OwnDir, "shim.sock")); return err }},
		{"plant a link among own logs", func(t target) error {
			return os.Symlink("/etc/shadow", filepath.Join(t.OwnDir, "logs", "stdout.000001"))
		}},
		{"forge own exit", func(t target) error { return create(filepath.Join(t.OwnDir, "exit.json")) }},
		{"read the servers' state", func(t target) error { _, err := os.ReadDir(filepath.Join(filepath.Dir(t.DataDir), "s1")); return err }},
		{"read /etc/shadow", func(target) error { return read("/etc/shadow") }},
		{"write /etc/passwd", func(target) error { return write("/etc/passwd", "") }},
		{"link to /etc/shadow", func(target) error { return os.Link("/etc/shadow", "shadow") }},
		{"see another task's /tmp", func(target) error { return read("/tmp/victim") }},
		{"see another task's shared memory", func(t target) error { return read("/dev/shm/" + t.VictimShm) }},
		{"reach the host through /proc/1/root", func(target) error { _, err := os.ReadDir("/proc/1/root/etc"); return err }},
	}
}

func processAttacks() []attack {
	return []attack{
		{"read another task's environment", func(t target) error { return read(fmt.Sprintf("/proc/%d/environ", t.Victim)) }},
		{"kill another task", func(t target) error { return syscall.Kill(t.Victim, syscall.SIGKILL) }},
		{"trace another task", func(t target) error { return syscall.PtraceAttach(t.Victim) }},
		{"read another task's memory", func(t target) error { return peek(t.Victim) }},
		{"kill the shim", func(t target) error { return syscall.Kill(t.Shim, syscall.SIGKILL) }},
		{"trace the shim", func(t target) error { return syscall.PtraceAttach(t.Shim) }},
		{"read the shim's environment", func(t target) error { return read(fmt.Sprintf("/proc/%d/environ", t.Shim)) }},
		{"stop the agent", func(t target) error { return syscall.Kill(t.Agent, syscall.SIGSTOP) }},
		{"kill the sandbox", func(target) error { return syscall.Kill(1, syscall.SIGKILL) }},
		{"trace the sandbox", func(target) error { return syscall.PtraceAttach(1) }},
		{"attach another's System V memory", func(target) error {
			_, _, errno := unix.Syscall(unix.SYS_SHMGET, sysvKey, 1, 0)
			return asError(errno)
		}},
	}
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func peek(pid int) error {
	var b [8]byte
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return err
}

func privilegeAttacks() []attack {
	return []attack{
		{"become root by a set-user-ID program", func(t target) error {
			out, err := exec.Command(t.Suid, "euid").Output()
			if err != nil {
				return err
			}
			if got := strings.TrimSpace(string(out)); got != "0" {
				return fmt.Errorf("it ran as %s", got)
			}
			return nil
		}},
		{"become root", func(target) error { return syscall.Setuid(0) }},
		{"join root's group", func(target) error { return syscall.Setgroups([]int{0}) }},
		{"be nicer than the rest", func(target) error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, -5) }},
		{"run in real time", func(target) error {
			return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
		}},
		{"evade the OOM killer", func(target) error { return write("/proc/self/oom_score_adj", "-500") }},
		{"leave core files", func(target) error {
			return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20})
		}},
		{"open a raw socket", func(target) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) }},
		{"listen to the network", func(target) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) }},
		{"make a user namespace", func(target) error { return unix.Unshare(unix.CLONE_NEWUSER) }},
		{"clone into a user namespace", func(target) error {
			cmd := exec.Command("/bin/true")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
			return cmd.Run()
		}},
		{"enter the host's namespaces", func(target) error { return enterHost() }},
	}
}

func enterHost() error {
	f, err := os.Open("/proc/1/ns/mnt")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNS)
}

func socket(domain, kind, proto int) error {
	fd, err := unix.Socket(domain, kind, proto)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func kernelAttacks() []attack {
	return []attack{
		{"mount", func(target) error { return unix.Mount("tmpfs", ".", "tmpfs", 0, "") }},
		{"uncover what is hidden", func(t target) error { return unix.Unmount(t.DataDir, unix.MNT_DETACH) }},
		{"change the root", func(target) error { return unix.Chroot(".") }},
		{"open a file by its handle", func(target) error { return byHandle() }},
		{"load a module", func(target) error { return unix.InitModule([]byte("x"), "") }},
		{"replace the kernel", func(target) error { return unix.KexecFileLoad(-1, -1, "", 0) }},
		{"load a BPF program", func(target) error {
			_, _, errno := unix.Syscall(unix.SYS_BPF, 0, 0, 0)
			return asError(errno)
		}},
		{"write a sysctl", func(target) error { return write("/proc/sys/kernel/core_pattern", "|/bin/sh") }},
		{"press SysRq", func(target) error { return write("/proc/sysrq-trigger", "h") }},
		{"write to /sys", func(target) error { return write("/sys/kernel/mm/transparent_hugepage/enabled", "never") }},
		{"change the host's name", func(target) error { return unix.Sethostname([]byte("mine")) }},
		{"set the clock", func(target) error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}) }},
		{"restart the host", func(target) error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_ON) }},
		{"read the kernel's log", func(target) error { _, err := unix.Klogctl(10, nil); return err }},
		{"use the kernel's keys", func(target) error {
			_, err := unix.AddKey("user", "caravan-test", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
			return err
		}},
	}
}

func byHandle() error {
	h := unix.NewFileHandle(1, make([]byte, 8))
	root, err := unix.Open("/", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	_, err = unix.OpenByHandleAt(root, h, unix.O_RDONLY)
	return err
}

// groupAttacks look for a way out of the control group in every hierarchy.
func groupAttacks() []attack {
	each := func(glob string, try func(file string) error) error {
		var files []string
		for _, pattern := range []string{"/sys/fs/cgroup/" + glob, "/sys/fs/cgroup/*/" + glob, "/sys/fs/cgroup/*/*/" + glob} {
			more, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			files = append(files, more...)
		}
		if len(files) == 0 {
			return os.ErrNotExist
		}
		var last error
		for _, f := range files {
			if last = try(f); last == nil {
				return nil
			}
		}
		return last
	}
	return []attack{
		{"leave the control group", func(target) error {
			return each("cgroup.procs", func(f string) error { return write(f, strconv.Itoa(os.Getpid())) })
		}},
		{"raise the memory limit", func(target) error {
			return each("memory.limit_in_bytes", func(f string) error { return write(f, "-1") })
		}},
		{"make a control group", func(target) error {
			return each("cgroup.procs", func(f string) error { return os.Mkdir(filepath.Join(filepath.Dir(f), "mine"), 0o755) })
		}},
	}
}

// sysvKey names the shared memory that the victim makes.
const sysvKey = 0x43525631

// sysvMake makes it.
func sysvMake() error {
	_, _, errno := unix.Syscall(unix.SYS_SHMGET, sysvKey, 4096, uintptr(unix.IPC_CREAT|0o666))
	return asError(errno)
}

// touch makes sure that memory is really used.
func touch(p []byte) {
	for i := 0; i < len(p); i += os.Getpagesize() {
		*(*byte)(unsafe.Pointer(&p[i])) = 1
	}
}
