package hook

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTheExitStatusIsTheAnswer(t *testing.T) {
	long := 30 * time.Second
	for _, tc := range []struct {
		name, script, want string
		timeout            time.Duration
	}{
		{"yes", "echo fine", "", long},
		{"no", "echo the fan is loud >&2; exit 3", "exit status 3: the fan is loud", long},
		{"variables", `test "$DEVICE" = gpu0`, "", long},
		{"nothing else of the agent's surroundings", `test -z "$SECRET"`, "", long},
		{"out of time, children and all", "sleep 1000 & sleep 1000", "not done after 50ms", 50 * time.Millisecond},
		{"only the end is kept", "head -c 10000 /dev/zero | tr '\\0' x; echo ' the end'; exit 1", "xxx the end", long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("SECRET", "swordfish")
			err := Run(t.Context(), Program{Command: []string{"/bin/sh", "-c", tc.script}, Timeout: tc.timeout}, []string{"DEVICE=gpu0"})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 250):
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestAnAgentThatEndsDoesNotBlameTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Program{Command: []string{"/bin/true"}, Timeout: time.Minute}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAProgramIsAbsoluteAndBounded(t *testing.T) {
	for _, p := range []Program{{Command: []string{"true"}, Timeout: time.Second}, {Command: []string{os.Args[0]}}} {
		if p.Check() == nil {
			t.Errorf("%v is taken", p)
		}
	}
}
