package fsm

import "testing"

// An array costs the log and the state the same whether it has one task or a
// million: it is stored as ranges.
func TestArrayIsStoredAsRanges(t *testing.T) {
	sizes := map[int64]int{}
	for _, tasks := range []int64{1, 10_000, 1_000_000} {
		c := submit("01234567-89ab-cdef-0123-456789abcdef", array("film", tasks))
		sizes[tasks] = len(encode(c))
		f := New(Config{})
		if r := apply(f, c); r.Err != nil || r.Answer.Count != tasks {
			t.Fatalf("%d tasks were answered %+v", tasks, r)
		}
		j, _ := f.Snapshot().Job("film-1")
		if n := len(j.Groups[0].Waiting.Intervals()); n != 1 {
			t.Errorf("%d tasks wait in %d intervals, want 1", tasks, n)
		}
		t.Logf("%d tasks: command %d bytes, snapshot of the state %d bytes", tasks, sizes[tasks], len(encoded(t, f)))
	}
	if sizes[10_000] >= 1<<10 || sizes[1_000_000] > sizes[10_000]+2 {
		t.Errorf("a command takes %v bytes by tasks, want less than 1024 and alike", sizes)
	}
}
