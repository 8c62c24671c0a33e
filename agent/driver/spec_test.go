package driver_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"caravan/agent/driver"
)

func valid() driver.AllocSpec {
	return driver.AllocSpec{ID: "job.group-3_a", Dir: "/a/b", Argv: []string{"true"}, Env: []string{"A=", "B=x=y"}}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	umask := 0o1777
	for _, tc := range []struct {
		hint string
		edit func(*driver.AllocSpec)
	}{
		{"allocation id", func(s *driver.AllocSpec) { s.ID = "" }},
		{"allocation id", func(s *driver.AllocSpec) { s.ID = "a/b" }},
		{"allocation id", func(s *driver.AllocSpec) { s.ID = ".." }},
		{"allocation id", func(s *driver.AllocSpec) { s.ID = strings.Repeat("x", 129) }},
		{"must be absolute", func(s *driver.AllocSpec) { s.Dir = "a" }},
		{"must be absolute", func(s *driver.AllocSpec) { s.WorkDir = "a" }},
		{"must not be negative", func(s *driver.AllocSpec) { s.TimeLimitMs = -1 }},
		{"must not be negative", func(s *driver.AllocSpec) { s.GraceMs = -1 }},
		{"oom_score_adj", func(s *driver.AllocSpec) { s.OOMScoreAdj = 1001 }},
		{"KEY=VALUE", func(s *driver.AllocSpec) { s.Env = []string{"=x"} }},
		{"KEY=VALUE", func(s *driver.AllocSpec) { s.Env = []string{"A=\x00"} }},
		{"environment variables", func(s *driver.AllocSpec) { s.Env = make([]string, driver.MaxEnv+1) }},
		{"outputs", func(s *driver.AllocSpec) { s.Outputs = make([]driver.Output, driver.MaxOutputs+1) }},
		{"log segments", func(s *driver.AllocSpec) { s.Logs.Segments = driver.MaxSegments + 1 }},
		{"resources", func(s *driver.AllocSpec) { s.Resources.MemoryBytes = -1 }},
		{"stop signal", func(s *driver.AllocSpec) { s.StopSignal = 65 }},
		{"umask", func(s *driver.AllocSpec) { s.Umask = &umask }},
		{"verify", func(s *driver.AllocSpec) { s.Verify = &driver.Verify{} }},
	} {
		s := valid()
		tc.edit(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tc.hint) {
			t.Errorf("got %v, want %q", err, tc.hint)
		}
	}
}

func TestValidateCommand(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"a", "b\x00"}, make([]string, driver.MaxArgs+1)} {
		if err := driver.ValidateCommand(argv); err == nil {
			t.Errorf("%q: accepted", argv[:min(len(argv), 3)])
		}
	}
	if err := driver.ValidateCommand([]string{"a", ""}); err != nil {
		t.Errorf("an empty argument: %v", err)
	}
}

func TestSuccessIsAnExitWithZeroAndNothingElse(t *testing.T) {
	for reason, want := range map[driver.Reason]bool{
		driver.ReasonExited: true, driver.ReasonSignaled: false, driver.ReasonOOM: false, driver.ReasonTimeLimit: false, driver.ReasonStopped: false,
		driver.ReasonLaunchFailed: false, driver.ReasonVerify: false, driver.ReasonOutputMissing: false, driver.ReasonShimLost: false,
	} {
		if got := (driver.Exit{Reason: reason}).Success(); got != want {
			t.Errorf("%s with code 0: %v", reason, got)
		}
	}
	if (driver.Exit{Reason: driver.ReasonExited, ExitCode: 1}).Success() {
		t.Error("code 1 is a success")
	}
}

// TestFilesOfOlderAgentsStillMeanTheSame pins the names on disk.
func TestFilesOfOlderAgentsStillMeanTheSame(t *testing.T) {
	var exit driver.Exit
	const old = `{"reason":"oom","detail":"d","exit_code":137,"signal":9,"started_ms":1,"ended_ms":2,"user_ms":3,"system_ms":4,"peak_bytes":5,"oom_kills":6,"stdout_bytes":7,"stderr_bytes":8}`
	if err := json.Unmarshal([]byte(old), &exit); err != nil {
		t.Fatal(err)
	}
	want := driver.Exit{Reason: driver.ReasonOOM, Detail: "d", ExitCode: 137, Signal: 9, StartedMs: 1, EndedMs: 2, UserMs: 3, SystemMs: 4, PeakBytes: 5, OOMKills: 6, StdoutBytes: 7, StderrBytes: 8}
	if diff := cmp.Diff(want, exit); diff != "" {
		t.Error(diff)
	}
	raw, err := json.Marshal(exit)
	if err != nil || string(raw) != old {
		t.Errorf("got %s, %v", raw, err)
	}
}
