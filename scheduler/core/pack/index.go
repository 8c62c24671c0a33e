package pack

import "caravan/scheduler/core/request"

// Index keeps the nodes that a class fits now, best first, as a binary heap
// that knows where each node stands, so that a changed node is put right in
// O(log n).
type Index struct {
	class *request.Class
	// match holds the device matches of all nodes that could serve the class;
	// at[node] is where a node's begins, -1 for a node that never serves it.
	match Match
	at    []int32
	heap  []entry
	// place[node] is 1 + the node's position in the heap, 0 when it is not in it.
	place []int32
	// seen counts the fleet's changes that the heap has taken in.
	seen int
}

type entry struct {
	score Score
	node  int32
}

func (e entry) before(o entry) bool {
	return e.score < o.score || (e.score == o.score && e.node < o.node)
}

// set enters a node, or moves it to where its new score belongs.
func (x *Index) set(node int32, s Score) {
	if p := x.place[node]; p > 0 {
		i := int(p - 1)
		x.heap[i].score = s
		if !x.up(i) {
			x.down(i)
		}
		return
	}
	x.heap = append(x.heap, entry{score: s, node: node})
	x.place[node] = int32(len(x.heap))
	x.up(len(x.heap) - 1)
}

// drop takes a node out.
func (x *Index) drop(node int32) {
	p := x.place[node]
	if p == 0 {
		return
	}
	i, last := int(p-1), len(x.heap)-1
	x.swap(i, last)
	x.heap = x.heap[:last]
	x.place[node] = 0
	if i < last && !x.up(i) {
		x.down(i)
	}
}

// heapify orders entries that were appended without regard to order.
func (x *Index) heapify() {
	for i := len(x.heap)/2 - 1; i >= 0; i-- {
		x.down(i)
	}
}

func (x *Index) swap(i, j int) {
	x.heap[i], x.heap[j] = x.heap[j], x.heap[i]
	x.place[x.heap[i].node] = int32(i + 1)
	x.place[x.heap[j].node] = int32(j + 1)
}

func (x *Index) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !x.heap[i].before(x.heap[parent]) {
			break
		}
		x.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (x *Index) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(x.heap); child++ {
			if x.heap[child].before(x.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		x.swap(i, least)
		i = least
	}
}
