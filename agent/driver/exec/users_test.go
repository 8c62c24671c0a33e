package exec

import (
	"strings"
	"testing"

	"caravan/agent/driver"
)

func TestARuleSaysWhoTasksRunAs(t *testing.T) {
	for _, tt := range []struct {
		rule, owner string
		root        bool
		want        string // "agent", "own", "UID:GID" or a part of the error
	}{
		{"", "ann", true, "own"},
		{"auto", "ann", true, "own"},
		{"auto", "ann", false, "agent"},
		{"agent", "ann", true, "agent"},
		{"own", "ann", false, "an agent that is not root runs tasks as itself"},
		{"own:100", "ann", true, "the range must begin at a number"},
		{"own:3000000", "ann", true, "own"},
		{"1234:5678", "ann", true, "1234:5678"},
		{"no-such-account", "ann", true, "unknown user"},
		{"owner", "no-such-account", true, "has no account on this host"},
		{"owner", "root", true, "is a system account"},
		{"1234:x", "ann", true, "invalid syntax"},
	} {
		u, err := ParseUsers(tt.rule, tt.root)
		var got *driver.User
		if err == nil {
			got, err = u.of(driver.AllocSpec{ID: "a", Owner: tt.owner})
		}
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: %v, want %s", tt.rule, err, tt.want)
			}
		case tt.want == "agent":
			if got != nil {
				t.Errorf("%q: %+v", tt.rule, got)
			}
		case tt.want == "own":
			if got == nil || got.UID < firstAccount || got.UID != got.GID || len(got.Groups) > 0 {
				t.Errorf("%q: %+v", tt.rule, got)
			}
		case got == nil || got.UID != 1234 || got.GID != 5678:
			t.Errorf("%q: %+v, want %s", tt.rule, got, tt.want)
		}
	}
}

func TestNoTwoTasksShareAUser(t *testing.T) {
	u, err := ParseUsers("own:5000", true)
	if err != nil {
		t.Fatal(err)
	}
	// A task of an earlier agent has one that would be next.
	u.keep(driver.AllocSpec{ID: "earlier", User: &driver.User{UID: 5001}})
	seen := map[uint32]bool{5001: true}
	for i := range ownCount - 1 {
		spec := driver.AllocSpec{ID: "a"}
		if spec.User, err = u.of(spec); err != nil || seen[spec.User.UID] {
			t.Fatalf("task %d: %+v, %v", i, spec.User, err)
		}
		seen[spec.User.UID] = true
	}
	if _, err := u.of(driver.AllocSpec{ID: "b"}); err == nil {
		t.Error("one more than there are")
	}
	u.release(driver.AllocSpec{ID: "b", User: &driver.User{UID: 5001}}) // not its own
	u.release(driver.AllocSpec{ID: "earlier", User: &driver.User{UID: 5001}})
	if got, err := u.of(driver.AllocSpec{ID: "b"}); err != nil || got.UID != 5001 {
		t.Errorf("after a release: %+v, %v", got, err)
	}
}
