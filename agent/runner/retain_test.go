package runner

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestOldAllocationsGoOldestFirst(t *testing.T) {
	day := 24 * time.Hour
	all := []remains{
		{"young", time.Minute, 100}, {"old", 3 * day, 10}, {"older", 5 * day, 20}, {"recent", time.Hour, 5},
	}
	keep := Retention{Count: 100, Bytes: 1000, MaxAge: 30 * day, MinAge: 10 * time.Minute}
	for name, c := range map[string]struct {
		change func(*Retention)
		want   string
	}{
		"within all bounds":            {func(*Retention) {}, "[]"},
		"too many":                     {func(k *Retention) { k.Count = 3 }, "[older]"},
		"too large":                    {func(k *Retention) { k.Bytes = 110 }, "[older old]"},
		"too old":                      {func(k *Retention) { k.MaxAge = 4 * day }, "[older]"},
		"too young to go, though over": {func(k *Retention) { k.Bytes = 1 }, "[older old recent]"},
		"none may go yet":              {func(k *Retention) { k.Count, k.MinAge = 1, 10*day }, "[]"},
	} {
		k := keep
		c.change(&k)
		if got := fmt.Sprint(k.victims(all)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestIDsNeverLeadOutOfTheDirectory(t *testing.T) {
	for _, id := range []string{"render-12.frames.3.1", "a", "A_b-c.9"} {
		if !ValidID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", ".", "..", ".hidden", "a/b", "../a", "a\x00", "ä", "a b", string(make([]byte, MaxIDLength+1))} {
		if ValidID(id) {
			t.Errorf("%q is taken", id)
		}
	}
}

func TestMessagesFitTheWire(t *testing.T) {
	long := strings.Repeat("ä", MaxMessage)
	s, _ := Apply(State{Phase: Publishing}, PublishFailed{Message: "bad name \xff in " + long})
	got := s.Result.Exit.Message
	if len(got) > MaxMessage+len("\ufffd") || !utf8.ValidString(got) || !strings.HasPrefix(got, "bad name \ufffd in ä") || !strings.HasSuffix(got, "[...]") {
		t.Errorf("%d bytes: %.40q...", len(got), got)
	}
}
