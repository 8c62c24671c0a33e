// Package walk shows which loops over maps are reported and which are not.
package walk

import (
	"maps"
	"slices"
	"sort"
)

type node struct {
	free    int64
	price   float64
	devices []int64
	labels  map[string]int64
}

func first(m map[string]int) string {
	for k := range m { // want `loop over a map in map order`
		return k
	}
	return ""
}

func unsorted(m map[string]int) []string {
	var keys []string
	for k := range m { // want `loop over a map in map order`
		keys = append(keys, k)
	}
	return keys
}

func sortedBefore(m map[string]int) []string {
	var keys []string
	slices.Sort(keys)
	for k := range m { // want `loop over a map in map order`
		keys = append(keys, k)
	}
	return keys
}

func sortedElsewhere(m map[string]int) []string {
	var keys, other []string
	for k := range m { // want `loop over a map in map order`
		keys = append(keys, k)
	}
	slices.Sort(other)
	return keys
}

func floatSum(m map[string]node) float64 {
	var sum float64
	for _, n := range m { // want `loop over a map in map order`
		sum += n.price
	}
	return sum
}

func text(m map[string]int) string {
	s := ""
	for k := range m { // want `loop over a map in map order`
		s += k
	}
	return s
}

func lastWins(m map[string]int) int {
	last := 0
	for _, v := range m { // want `loop over a map in map order`
		last = v
	}
	return last
}

func best(m map[string]int) (string, int) {
	name, most := "", 0
	for k, v := range m { // want `loop over a map in map order`
		if v > most {
			name, most = k, v
		}
	}
	return name, most
}

func firstThatFits(m map[string]int, want int) int {
	left := want
	for _, v := range m { // want `loop over a map in map order`
		if left > v {
			left -= v
		}
	}
	return left
}

func calls(m map[string]int, place func(string)) {
	for k := range m { // want `loop over a map in map order`
		place(k)
	}
}

func inverted(m map[string]int) map[int]string {
	out := map[int]string{}
	for k, v := range m { // want `loop over a map in map order`
		out[v] = k
	}
	return out
}

func innerKey(m map[string]map[string]int) map[string]int {
	out := map[string]int{}
	for _, inner := range m { // want `loop over a map in map order`
		for k, v := range inner { // want `loop over a map in map order`
			out[k] = v
			place()
		}
	}
	return out
}

func place() {}

func growing(m map[int]int) {
	for _, v := range m { // want `loop over a map in map order`
		m[v+1] += 1
	}
}

func mixed(m map[string]int) int {
	n := 1
	for _, v := range m { // want `loop over a map in map order`
		n += v
		n *= 2
	}
	return n
}

func snapshots(m map[string]node) []int64 {
	var acc node
	var seen []node
	for _, n := range m { // want `loop over a map in map order`
		acc.free += n.free
		seen = append(seen, acc)
	}
	slices.SortFunc(seen, func(a, b node) int { return int(a.free - b.free) })
	return nil
}

func outerVariables(m map[string]int) (k string) {
	for k = range m { // want `loop over a map in map order`
	}
	return k
}

func leavesHalfDone(m map[string]int) (int, bool) {
	n := 0
	for _, v := range m { // want `loop over a map in map order`
		n += v
		if v == 7 {
			return 0, true
		}
	}
	return n, false
}

func twoAnswers(m map[string]int) bool {
	for _, v := range m { // want `loop over a map in map order`
		if v == 7 {
			return true
		}
		if v == 8 {
			return false
		}
	}
	return false
}

func generic[M ~map[K]V, K comparable, V any](m M, f func(K)) {
	for k := range m { // want `loop over a map in map order`
		f(k)
	}
}

func inLiteral(m map[string]int, f func(string)) func() {
	return func() {
		for k := range m { // want `loop over a map in map order`
			f(k)
		}
	}
}

func iterators(m map[string]int) []string {
	for k := range maps.Keys(m) { // want `maps.Keys yields in map order`
		_ = k
	}
	_ = slices.Collect(maps.Values(m)) // want `maps.Values yields in map order`
	return slices.Sorted(maps.Keys(m))
}

func noReason(m map[string]int, f func(string)) {
	//caravan:unordered // want `needs a reason`
	for k := range m { // want `loop over a map in map order`
		f(k)
	}
}

// What follows is left alone.

func collected(m map[string]node) []string {
	var keys []string
	for k, n := range m {
		if n.free == 0 {
			continue
		}
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

type totals struct {
	free, most, busy int64
	byLabel          map[string]int64
}

func accumulated(m map[string]*node) (t totals, any bool) {
	t.byLabel = map[string]int64{}
	for _, n := range m {
		t.free += n.free
		t.most = max(t.most, n.free)
		any = true
		if n.free == 0 {
			t.busy++
		}
		devices := int64(0)
		for _, d := range n.devices {
			devices += d
		}
		t.free += devices
		for label, v := range n.labels {
			t.byLabel[label] += v * int64(len(n.devices))
		}
		switch n.free {
		case 1:
			t.busy += 2
		}
	}
	return t, any
}

func entries(m, used map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	for k, v := range m {
		out[k] = v - used[k]
		if v == 0 {
			delete(m, k)
		}
	}
	return out
}

func anyNegative(m map[string]int) bool {
	for _, v := range m {
		if v < 0 {
			return true
		}
	}
	return false
}

func counted(m map[string]int) int {
	n := 0
	for range m {
		n++
	}
	return n
}

func excused(m map[string]func()) {
	//caravan:unordered the callbacks are independent of each other
	for _, f := range m {
		f()
	}
	for _, f := range m { //caravan:unordered the callbacks are independent of each other
		f()
	}
}

func slicesAndChannels(s []int, f func(int)) {
	for _, v := range s {
		f(v)
	}
}
