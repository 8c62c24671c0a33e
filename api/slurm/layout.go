package slurm

import (
	"strconv"
	"strings"
)

// Layout is how many tasks each node of a job or step runs, in order.
type Layout []int

// NewLayout spreads tasks over nodes in blocks: as evenly as it goes, earlier nodes first, or
// perNode on each as far as they reach; perNode 0 means no such wish. Without a number of
// tasks each node runs perNode, at least one. Tasks beyond nodes times perNode are spread on.
func NewLayout(nodes, tasks, perNode int) Layout {
	if nodes <= 0 {
		return nil
	}
	if tasks <= 0 {
		tasks = nodes * max(1, perNode)
	}
	l := make(Layout, nodes)
	if perNode > 0 && tasks <= nodes*perNode {
		for i := range l {
			l[i] = min(perNode, tasks)
			tasks -= l[i]
		}
		return l
	}
	for i := range l {
		l[i] = tasks / nodes
		if i < tasks%nodes {
			l[i]++
		}
	}
	return l
}

// Total is the number of tasks.
func (l Layout) Total() int {
	n := 0
	for _, tasks := range l {
		n += tasks
	}
	return n
}

// Nodes is the number of nodes that run any.
func (l Layout) Nodes() int {
	n := 0
	for _, tasks := range l {
		if tasks > 0 {
			n++
		}
	}
	return n
}

// String writes the layout as in SLURM_TASKS_PER_NODE: 2(x3),1.
func (l Layout) String() string { return repeated(l) }

// repeated writes numbers with runs of equal ones as N(xTIMES).
func repeated(numbers []int) string {
	var out []string
	for i := 0; i < len(numbers); {
		n := 1
		for i+n < len(numbers) && numbers[i+n] == numbers[i] {
			n++
		}
		text := strconv.Itoa(numbers[i])
		if n > 1 {
			text += "(x" + strconv.Itoa(n) + ")"
		}
		out = append(out, text)
		i += n
	}
	return strings.Join(out, ",")
}
