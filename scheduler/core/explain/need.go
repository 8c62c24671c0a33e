package explain

// Need is what is placed together: one task, or all members of a gang.
type Need struct {
	Tasks int64
	// PerNode says that no two of them may share a node.
	PerNode bool
}

// capacity is what a class finds room for: tasks, and the nodes with room for any.
type capacity struct{ tasks, nodes int64 }

// add counts a number of nodes with room for so many tasks each.
func (c *capacity) add(tasks, nodes int64) {
	c.tasks += tasks * nodes
	if tasks > 0 {
		c.nodes += nodes
	}
}

// of is how many of what is needed have room.
func (c capacity) of(n Need) int64 {
	if n.PerNode {
		return c.nodes
	}
	return c.tasks
}
