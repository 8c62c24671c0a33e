package hostlist_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"caravan/api/hostlist"
)

func TestForms(t *testing.T) {
	for long, short := range map[string]string{
		"":                    "",
		"a":                   "a",
		"n1,n2,n3":            "n[1-3]",
		"n1,n3,n4,n9":         "n[1,3-4,9]",
		"n08,n09,n10":         "n[08-10]",
		"n9,n10":              "n[9-10]",
		"n1,n02":              "n1,n02",
		"gpu1,gpu2,cpu1,gpu3": "gpu[1-2],cpu1,gpu3",
		"login,n1,n2":         "login,n[1-2]",
		"n3,n2":               "n[3,2]",
	} {
		names := strings.FieldsFunc(long, func(r rune) bool { return r == ',' })
		if got := hostlist.Compress(names); got != short {
			t.Errorf("%s: %s, want %s", long, got, short)
		}
		if back, err := hostlist.Expand(short); err != nil || !slices.Equal(back, names) {
			t.Errorf("%s: %q, %v", short, back, err)
		}
	}
}

func TestSeveralBracketsMultiply(t *testing.T) {
	got, err := hostlist.Expand("r[1-2]n[01-02]x")
	if want := "r1n01x r1n02x r2n01x r2n02x"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, list := range []string{"n[1-", "n1]", "n[2-1]", "n[a]", "n[1-999999999]"} {
		if got, err := hostlist.Expand(list); err == nil {
			t.Errorf("%s became %d names", list, len(got))
		}
	}
}

func TestExpandGivesBackWhatWasCompressed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching(`[a-c]{1,2}[-a]?[0-9]{0,3}`)).Draw(t, "names")
		got, err := hostlist.Expand(hostlist.Compress(names))
		if err != nil || !slices.Equal(got, names) && len(names) > 0 {
			t.Fatalf("%q became %s and %q, %v", names, hostlist.Compress(names), got, err)
		}
	})
}
