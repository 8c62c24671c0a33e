// Package block cuts short lists from long ones, so that what a cycle hands out costs no allocation of its
// own. Packages core, place and pack use it for what a plan consists of.
package block

// Pool hands out room for lists until it is reset, which makes the same room available again. The zero value
// is ready for use; a Pool belongs to one goroutine.
type Pool[T any] struct {
	blocks [][]T
	// at is the block in use, used how much of it is.
	at, used int
}

// size is the length of a block, unless more is asked for at once.
const size = 1024

// Cut returns an empty list with room for n, in which nobody else writes before the next Reset.
func (p *Pool[T]) Cut(n int) []T {
	for p.at < len(p.blocks) && len(p.blocks[p.at])-p.used < n {
		p.at, p.used = p.at+1, 0
	}
	if p.at == len(p.blocks) {
		p.blocks = append(p.blocks, make([]T, max(n, size)))
	}
	from := p.used
	p.used += n
	return p.blocks[p.at][from:from:p.used]
}

// Return gives back what a list that was cut last has no use for.
func (p *Pool[T]) Return(unused int) { p.used -= unused }

// Reset takes back all that was handed out: it will be written over.
func (p *Pool[T]) Reset() { p.at, p.used = 0, 0 }
