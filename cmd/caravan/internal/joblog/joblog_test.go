package joblog_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/joblog"
)

func named(id string) string { return "<" + id + ">" }

// However the logs of several tasks are cut and mixed, every line comes out
// whole, once, behind its task's name, and in its task's order.
func TestLinesOfSeveralTasksNeverMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rest := map[string]string{}
		want := map[string]string{}
		for _, id := range []string{"a", "b", "c"} {
			for i := range rapid.IntRange(0, 5).Draw(t, "lines") {
				line := fmt.Sprintf("%s %d %s\n", id, i, rapid.StringMatching(`[x ]{0,12}`).Draw(t, "text"))
				rest[id] += line
				want[id] += named(id) + " | " + line
			}
		}
		var out bytes.Buffer
		p := joblog.New(joblog.Config{Out: &out, Err: &out, Name: named})
		for rest["a"]+rest["b"]+rest["c"] != "" {
			id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "task")
			n := rapid.IntRange(0, len(rest[id])).Draw(t, "bytes")
			if err := p.Print(&pb.LogChunk{AllocationId: id, Stream: "stdout", Data: []byte(rest[id][:n])}); err != nil {
				t.Fatal(err)
			}
			rest[id] = rest[id][n:]
		}
		got := map[string]string{}
		for line := range strings.Lines(out.String()) {
			got[line[1:2]] += line
		}
		for id := range want {
			if got[id] != want[id] {
				t.Fatalf("task %s: got %q, want %q", id, got[id], want[id])
			}
		}
	})
}

func TestALineWithoutEndIsPrintedAtTheEnd(t *testing.T) {
	var out, errs bytes.Buffer
	p := joblog.New(joblog.Config{Out: &out, Err: &errs, Name: named})
	for _, c := range []*pb.LogChunk{
		{AllocationId: "b", Stream: "stdout", Data: []byte("unfinished")},
		{AllocationId: "a", Stream: "stderr", Data: []byte("business")},
	} {
		if err := p.Print(c); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len()+errs.Len() > 0 {
		t.Errorf("printed %q and %q too early", out.String(), errs.String())
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "<b> | unfinished\n" || errs.String() != "<a> | business\n" {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
}

func TestAnEndlessLineIsCut(t *testing.T) {
	var out bytes.Buffer
	p := joblog.New(joblog.Config{Out: &out, Err: &out, Name: named})
	for range 5 {
		if err := p.Print(&pb.LogChunk{AllocationId: "a", Data: bytes.Repeat([]byte("x"), 32<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2 of 64 KiB", n)
	}
}
