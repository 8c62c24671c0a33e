package neighbour

import "caravan/scheduler/model"

// Book is who runs where, as far as rules are about it.
type Book struct {
	rules *Rules
	// spread counts a group's tasks by domain, a map for each of its rules.
	spread map[member][]map[string]int64
	log    []entry
}

type entry struct {
	job   *model.Job
	group int
	node  *model.Node
}

// NewBook returns the book of a cycle. Where yields the node of a name, nil for
// one that is gone.
func NewBook(jobs []*model.Job, occupants []Occupant, where func(string) *model.Node) *Book {
	b := &Book{rules: Of(jobs), spread: map[member][]map[string]int64{}}
	for i := range occupants {
		o := &occupants[i]
		if n := where(o.Node); n != nil && b.Concern(o.Job, o.Group) {
			b.count(o.Job, o.Group, n, o.Tasks)
		}
	}
	return b
}

// Concern is as of Rules.
func (b *Book) Concern(j *model.Job, group int) bool { return b.rules.Concern(j, group) }

// Add notes that a task of a group was put on a node.
func (b *Book) Add(j *model.Job, group int, n *model.Node) {
	b.log = append(b.log, entry{j, group, n})
	b.count(j, group, n, 1)
}

// Checkpoint returns the present moment.
func (b *Book) Checkpoint() int { return len(b.log) }

// Rollback undoes what was added since the checkpoint.
func (b *Book) Rollback(at int) {
	for _, e := range b.log[at:] {
		b.count(e.job, e.group, e.node, -1)
	}
	b.log = b.log[:at]
}

func (b *Book) count(j *model.Job, group int, n *model.Node, tasks int64) {
	for _, r := range b.rules.own[member{j.ID, group}] {
		r.owners[r.Over.Of(n)] += tasks
	}
	b.rules.naming(j, group, func(r *rule) { r.targets[r.Over.Of(n)] += tasks })
	for i, by := range b.spreadOf(j, group) {
		by[j.Spec.Groups[group].Spread[i].Over.Of(n)] += tasks
	}
}

// spreadOf returns the counts of a group's spread rules.
func (b *Book) spreadOf(j *model.Job, group int) []map[string]int64 {
	rules := j.Spec.Groups[group].Spread
	if len(rules) == 0 {
		return nil
	}
	key := member{j.ID, group}
	counts := b.spread[key]
	if counts == nil {
		for range rules {
			counts = append(counts, map[string]int64{})
		}
		b.spread[key] = counts
	}
	return counts
}
