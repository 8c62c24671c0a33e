package pack

import (
	"slices"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// maxSets is how many sets of devices are compared before the choice is made
// device by device: all sets of up to 14 devices.
const maxSets = 4096

// Connected appends to out which count of the devices in pool, positions on
// node n in ascending order, go to one task: those with the closest links
// between them and, of equals, those with the loosest links to the devices
// that stay, so that what stays is well connected too; then the first. Where
// nothing is known of links, or there are too few devices, it is the first.
func Connected(out []int, n *model.Node, pool []int, count int) []int {
	if len(n.DeviceLinks) == 0 || count < 1 || count >= len(pool) {
		return append(out, pool[:min(max(count, 0), len(pool))]...)
	}
	s := sets{node: n, pool: pool, now: make([]int, count)}
	if binomialWithin(len(pool), count, maxSets) {
		s.all(0, 0)
	} else {
		s.grown()
	}
	return append(out, s.best...)
}

// sets looks for the best set of devices.
type sets struct {
	node   *model.Node
	pool   []int
	now    []int
	best   []int
	inside int64 // of best: its links among itself
	across int64 // and to the rest of the pool
}

// all compares every set that begins with now[:at] and goes on at from.
func (s *sets) all(at, from int) {
	if at == len(s.now) {
		s.compare(s.now)
		return
	}
	for i := from; i <= len(s.pool)-(len(s.now)-at); i++ {
		s.now[at] = s.pool[i]
		s.all(at+1, i+1)
	}
}

// grown compares one set for each device: that which grows from it by the
// closest device each time.
func (s *sets) grown() {
	for _, first := range s.pool {
		set := append(s.now[:0], first)
		for len(set) < cap(s.now) {
			next, most := -1, int64(-1)
			for _, d := range s.pool {
				if links := s.links(d, set); !slices.Contains(set, d) && links > most {
					next, most = d, links
				}
			}
			set = append(set, next)
		}
		slices.Sort(set)
		s.compare(set)
	}
}

func (s *sets) compare(set []int) {
	var inside, across int64
	for i, d := range set {
		inside += s.links(d, set[:i])
		across += s.links(d, s.pool)
	}
	across -= 2 * inside // the pool holds the set too, and each of its links twice
	if s.best == nil || inside > s.inside || inside == s.inside && across < s.across {
		s.best, s.inside, s.across = append(s.best[:0], set...), inside, across
	}
}

func (s *sets) links(d int, others []int) int64 {
	var sum int64
	for _, o := range others {
		sum += int64(s.node.Link(d, o))
	}
	return sum
}

// binomialWithin reports whether there are at most limit sets of k out of n.
func binomialWithin(n, k, limit int) bool {
	sets := 1
	for i := 1; i <= min(k, n-k); i++ {
		if sets = sets * (n - i + 1) / i; sets > limit {
			return false
		}
	}
	return true
}

// connect exchanges the devices that the fitter found for whole-device requests
// by those that are just as good and better connected. The score stays as it
// is. Requests keep their order.
func (f *Fitter) connect(c *request.Class, m Match, n *model.Node, free *resource.Free) {
	if len(n.DeviceLinks) == 0 {
		return
	}
	w, at := words(n), 0
	for r := range c.Devices {
		req := &c.Devices[r]
		picks := f.picks[at : at+int(req.Count)]
		at += int(req.Count)
		if req.Fraction() {
			continue
		}
		// Devices better than the worst pick are all taken; the choice is among its equals.
		var worst rank
		for i := range picks {
			if k, _, _ := rate(req, &n.Devices[picks[i].device], &free.Devices[picks[i].device]); i == 0 || worst.before(k) {
				worst = k
			}
		}
		var pool []int
		count := 0
		for d := range n.Devices {
			mine := slices.ContainsFunc(picks, func(p pick) bool { return p.device == d })
			others := !mine && f.taken[d/64]&(1<<(d%64)) != 0
			if others || m[r*w+d/64]&(1<<(d%64)) == 0 {
				continue
			}
			if k, _, ok := rate(req, &n.Devices[d], &free.Devices[d]); ok && k == worst {
				pool = append(pool, d)
				if mine {
					count++
				}
			}
		}
		f.exchange(picks, pool, Connected(nil, n, pool, count))
	}
}

// exchange replaces those picks that are in the pool by the chosen devices.
func (f *Fitter) exchange(picks []pick, pool, chosen []int) {
	for i := range picks {
		if d := picks[i].device; slices.Contains(pool, d) {
			f.taken[d/64] &^= 1 << (d % 64)
			picks[i].device, chosen = chosen[0], chosen[1:]
		}
	}
	for i := range picks {
		f.taken[picks[i].device/64] |= 1 << (picks[i].device % 64)
	}
}
