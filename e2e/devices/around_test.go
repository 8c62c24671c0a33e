package devices

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caravan/api/jobspec"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
)

// What comes with a device: files of the host in other places, and programs before and after the task.
func TestATaskHasTheMountsOfItsDevicesAndTheirHooksRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	library := write("libvendor.so.550.1", "the library", 0o644)
	link := filepath.Join(dir, "libvendor.so.1")
	if err := os.Symlink(filepath.Base(library), link); err != nil {
		t.Fatal(err)
	}
	firmware := filepath.Join(dir, "firmware")
	if err := os.Mkdir(firmware, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(firmware, "blob"), []byte("the firmware\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(dir, "said")
	note := func(name string) string {
		return write(name, "#!/bin/sh\necho "+name+" $CARAVAN_JOB_NAME $SIM_VISIBLE_DEVICES ${LD_PRELOAD-unset} >> "+said+"\n", 0o755)
	}
	f := newFleet(t, "standard", "-mount", link+":/tmp/vendor/lib.so:ro", "-mount", firmware+":/opt:ro,nosuid", "-hook", "createRuntime="+note("create"), "-hook", "poststop="+note("stop"))
	const file = `
name: mounted
env: {LD_PRELOAD: /tmp/evil.so}
run: |
  unset LD_PRELOAD
  cat /tmp/vendor/lib.so; echo; cat /opt/blob
  (echo x > /tmp/vendor/lib.so) 2>&1 | sed s/^/file:/
  (echo x > /opt/new) 2>&1 | sed s/^/directory:/
resources: {cpu: 0.1, memory: 32MiB, devices: [{gpu: 1, model: M40}]}
`
	task, out := f.run(file)
	contains(t, "the task", out, "the library\n", "the firmware\n", "Read-only file system")
	if strings.Count(out, "Read-only file system") != 2 {
		t.Errorf("it could write:\n%s", out)
	}
	device := task.Last.Devices[0].DeviceId
	if got, err := os.ReadFile(said); err != nil || string(got) != "create mounted "+device+" unset\nstop mounted "+device+" unset\n" {
		t.Errorf("the hooks said %q, %v", got, err)
	}
	for path, want := range map[string]string{library: "the library", filepath.Join(firmware, "blob"): "the firmware\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s on the host is %q, %v", path, got, err)
		}
	}
	if entries, err := os.ReadDir("/opt"); err != nil || len(entries) > 0 && entries[0].Name() == "blob" {
		t.Errorf("the host's /opt has %v, %v", entries, err)
	}
}

// A task that sees the host's files as they are cannot have them elsewhere, and is told so.
func TestAMountNeedsASandbox(t *testing.T) {
	dir := t.TempDir()
	f := newFleet(t, "host", "-mount", dir+":/opt")
	parsed, err := jobspec.Parse("job.yaml", []byte(job("bare", "{gpu: 1, model: M40}", "true")))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := f.jobs.SubmitJob(f.ctx, &pb.SubmitJobRequest{RequestId: "bare", Spec: parsed.Spec, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	err = harness.Eventually(f.ctx, func() (bool, error) {
		tasks, err := f.jobs.ListTasks(f.ctx, &pb.ListTasksRequest{JobId: sent.JobId})
		return err == nil && len(tasks.Tasks) > 0 && strings.Contains(tasks.Tasks[0].GetLast().GetExit().GetMessage(), "needs a sandbox"), err
	})
	if err != nil {
		t.Error(err)
	}
}
