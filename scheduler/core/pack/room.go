package pack

import (
	"math/bits"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Room returns how many tasks of class c fit into free on node n, at most
// limit. It is exact for a class with one device request at most, and never
// too small otherwise, where requests may compete for the same devices.
func Room(c *request.Class, m Match, n *model.Node, free *resource.Free, limit int64) int64 {
	room := limit
	room = min(room, times(free.CPUMilli, c.CPUMilli, limit))
	room = min(room, times(free.MemoryMiB, c.MemoryMiB, limit))
	room = min(room, times(free.DiskMiB, c.DiskMiB, limit))
	if c.Exclusive {
		room = min(room, 1)
	}
	if !Alone(c, free) {
		return 0
	}
	w := words(n)
	for r := range c.Devices {
		if room <= 0 {
			return 0
		}
		room = min(room, units(&c.Devices[r], m[r*w:(r+1)*w], n, free)/int64(c.Devices[r].Count))
	}
	return max(room, 0)
}

// times returns how often demand goes into have.
func times(have, demand, limit int64) int64 {
	if demand <= 0 {
		return limit
	}
	return max(have, 0) / demand
}

// units returns how often one unit of a request goes into the matching devices.
func units(req *model.DeviceRequest, match []uint64, n *model.Node, free *resource.Free) int64 {
	var sum int64
	for w, set := range match {
		for ; set != 0; set &= set - 1 {
			d := w*64 + bits.TrailingZeros64(set)
			left := &free.Devices[d]
			if !left.Healthy || left.Thousandths < req.Thousandths {
				continue
			}
			k := int64(left.Thousandths / req.Thousandths)
			k = min(k, times(left.MemoryMiB, request.Memory(req, &n.Devices[d]), k))
			k = min(k, times(int64(left.Media.Sessions), int64(req.Media.Sessions), k))
			k = min(k, times(int64(left.Media.EncodeMilli), int64(req.Media.EncodeMilli), k))
			sum += min(k, times(int64(left.Media.DecodeMilli), int64(req.Media.DecodeMilli), k))
		}
	}
	return sum
}

// Room returns how many tasks of the index's class fit on a node now, at most
// limit; 0 for a node outside the index.
func (p *Packer) Room(x *Index, node int32, limit int64) int64 {
	if x.place[node] == 0 {
		return 0
	}
	p.steps++
	n := p.fleet.At(int(node))
	return Room(x.class, x.match[x.at[node]:], n.Node, n.Free, limit)
}
