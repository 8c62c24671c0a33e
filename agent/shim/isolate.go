package shim

import (
	"os"
	"path/filepath"
	"strings"

	"caravan/agent/driver"
	"caravan/agent/sandbox"
)

// isolate makes the task's sandbox, if it is to have one.
func (s *shim) isolate() error {
	if s.spec.Isolation == driver.IsolationHost || s.spec.Isolation == "" {
		return nil
	}
	cfg := s.spec.sandbox()
	if s.group != nil {
		cfg.Place = s.group.Add
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		return err
	}
	s.sandbox = box
	return s.control.update(func(st *driver.Status) { st.SandboxPID = box.PID() })
}

// sandbox is what the task gets to see. The allocation's directory is hidden, but for what is
// the task's of it. The owner of the host's files, root, could write to them without any
// privilege, so a task that runs as root may not.
func (s specFile) sandbox() sandbox.Config {
	tmp := filepath.Join(s.Dir, TmpDir)
	cfg := sandbox.Config{
		ReadOnly:   s.Isolation == driver.IsolationStrict || s.uid() == 0,
		Tmp:        tmp,
		Share:      s.Share,
		Hide:       s.Hide,
		Keep:       []string{filepath.Join(s.Dir, WorkDir), tmp},
		OwnDevices: s.DeviceWall,
	}
	for _, m := range s.Mounts {
		cfg.Binds = append(cfg.Binds, sandbox.Bind{From: filepath.Clean(m.HostPath), To: filepath.Clean(m.TaskPath), ReadOnly: m.ReadOnly()})
	}
	if s.Root != nil {
		cfg.OwnDevices, cfg.Root = true, s.root()
		if s.WorkDir != "" {
			cfg.Keep = append(cfg.Keep, s.WorkDir)
		}
	}
	for _, d := range s.Devices {
		if d.Path == "" || d.Major < 0 || d.Minor < 0 {
			continue // a rule for the control group: it names no single device
		}
		cfg.Devices = append(cfg.Devices, sandbox.Device{
			Path: d.Path, Block: d.Type == "b", Major: uint32(d.Major), Minor: uint32(d.Minor), Write: strings.Contains(d.Permissions, "w"),
		})
	}
	return cfg
}

// root is the task's own file system.
func (s specFile) root() *sandbox.Root {
	r := &sandbox.Root{At: filepath.Join(s.Dir, rootDir)}
	for _, f := range s.Root.FileSystems {
		r.Mounts = append(r.Mounts, sandbox.FileSystem{Type: f.Type, Source: f.Source, Options: f.Options})
	}
	for _, m := range s.Root.Mounts {
		r.Binds = append(r.Binds, sandbox.Bind{From: filepath.Clean(m.HostPath), To: filepath.Clean(m.TaskPath), ReadOnly: m.ReadOnly()})
	}
	return r
}

func (s specFile) uid() int {
	if s.User != nil {
		return int(s.User.UID)
	}
	return os.Geteuid()
}
