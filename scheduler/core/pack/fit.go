package pack

import (
	"math/bits"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Match tells which devices of one node could ever serve each device request
// of a class: one bit per device, a run of words per request.
type Match []uint64

// AppendMatch appends the match of class c on node n. It reports false when a
// request finds fewer devices than it wants, and which request that is.
func AppendMatch(m Match, c *request.Class, n *model.Node) (_ Match, failing int, ok bool) {
	for r := range c.Devices {
		at := len(m)
		for range words(n) {
			m = append(m, 0)
		}
		found := int32(0)
		for d := range n.Devices {
			if _, _, ok := request.Share(&c.Devices[r], &n.Devices[d]); ok {
				m[at+d/64] |= 1 << (d % 64)
				found++
			}
		}
		if found < c.Devices[r].Count {
			return m[:at], r, false
		}
	}
	return m, 0, true
}

func words(n *model.Node) int { return (len(n.Devices) + 63) / 64 }

// Fitter tries a class on a node. It keeps its scratch space between tries.
// The zero value is ready for use.
type Fitter struct {
	picks []pick
	taken []uint64
	// tally of the last try, for the score
	splits, splinter, memoryLeft, thousandths int64
	failing                                   int
	// scratch of rematch
	owner []int32
	tried []bool
}

// pick is a device chosen for a task.
type pick struct {
	device      int
	thousandths int32
	memoryMiB   int64
	media       model.Media
}

// Fits reports whether one task of class c fits into free on node n, whose
// match is m.
func (f *Fitter) Fits(c *request.Class, m Match, n *model.Node, free *resource.Free) bool {
	return Alone(c, free) && c.CPUMilli <= free.CPUMilli && c.MemoryMiB <= free.MemoryMiB && c.DiskMiB <= free.DiskMiB &&
		f.Devices(c, m, n, free)
}

// Alone reports whether nobody on the node stands against a task of class c:
// no task has the node to itself, and none is there if this one wants it so.
func Alone(c *request.Class, free *resource.Free) bool {
	return !free.Exclusive && (!c.Exclusive || free.Tasks <= 0)
}

// Devices chooses devices for one task of class c, each at most once. It
// reports false when there are not enough, and Failing then names the request.
// Every request takes its best device in turn; should that end in want while
// requests compete for the same devices, a choice that suits all is looked for
// before giving up.
func (f *Fitter) Devices(c *request.Class, m Match, n *model.Node, free *resource.Free) bool {
	f.clear()
	if len(c.Devices) == 0 {
		return true
	}
	w := words(n)
	f.taken = append(f.taken[:0], m[:w]...)
	clear(f.taken)
	for r := range c.Devices {
		for range c.Devices[r].Count {
			if !f.choose(&c.Devices[r], m[r*w:(r+1)*w], n, free) {
				f.failing = r
				return c.Competing && f.rematch(c, m, n, free)
			}
		}
	}
	return true
}

func (f *Fitter) clear() {
	f.picks = f.picks[:0]
	f.splits, f.splinter, f.memoryLeft, f.thousandths = 0, 0, 0, 0
}

// Failing returns the request that the last call of Devices could not serve.
func (f *Fitter) Failing() int { return f.failing }

// rank orders the devices that could serve a request, least first: those that
// run the image that is asked for before those to be programmed, split
// devices before whole ones, then the least left over, then the smallest.
type rank struct {
	whole       bool
	thousandths int32
	memoryMiB   int64
}

func (a rank) before(b rank) bool {
	switch {
	case a.whole != b.whole:
		return b.whole
	case a.thousandths != b.thousandths:
		return a.thousandths < b.thousandths
	}
	return a.memoryMiB < b.memoryMiB
}

// rate returns how well a device serves a request and the memory it would give
// up; ok is false when it has not enough left.
func rate(req *model.DeviceRequest, d *model.Device, left *resource.DeviceFree) (k rank, memoryMiB int64, ok bool) {
	if !left.Healthy || left.Thousandths < req.Thousandths || !left.Media.Covers(req.Media) {
		return rank{}, 0, false
	}
	memoryMiB = request.Memory(req, d)
	if left.MemoryMiB < memoryMiB {
		return rank{}, 0, false
	}
	// A device taken whole leaves nothing behind; what tells two apart is size.
	return rank{
		whole: left.Thousandths == d.Thousandths, thousandths: left.Thousandths - req.Thousandths, memoryMiB: left.MemoryMiB,
	}, memoryMiB, true
}

// choose picks the best device for one unit of a request.
func (f *Fitter) choose(req *model.DeviceRequest, match []uint64, n *model.Node, free *resource.Free) bool {
	best, bestRank, bestMemory := -1, rank{}, int64(0)
	for w, set := range match {
		for set &^= f.taken[w]; set != 0; set &= set - 1 {
			d := w*64 + bits.TrailingZeros64(set)
			k, memory, ok := rate(req, &n.Devices[d], &free.Devices[d])
			if ok && (best < 0 || k.before(bestRank)) {
				best, bestRank, bestMemory = d, k, memory
			}
		}
	}
	if best < 0 {
		return false
	}
	f.taken[best/64] |= 1 << (best % 64)
	f.pick(req, best, bestRank, bestMemory)
	return true
}

// pick enters a device for one unit of a request.
func (f *Fitter) pick(req *model.DeviceRequest, device int, k rank, memory int64) {
	f.picks = append(f.picks, pick{device: device, thousandths: req.Thousandths, memoryMiB: memory, media: req.Media})
	f.thousandths += int64(req.Thousandths)
	f.memoryLeft += k.memoryMiB - memory
	if !req.Fraction() {
		f.memoryLeft += memory
		return
	}
	f.splinter += int64(k.thousandths)
	if k.whole {
		f.splits++
	}
}
