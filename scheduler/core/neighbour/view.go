package neighbour

import "caravan/scheduler/model"

// View is the rules about one group.
type View struct {
	book  *Book
	job   *model.Job
	group int
	bars  []bar
	// domains are, for each spread rule, those that could serve the group.
	domains [][]string
	floor   []int64
}

// bar is a rule as it bears on the group: where others counts, it may not go.
type bar struct {
	over   model.Domain
	others map[string]int64
	label  string
}

// View returns the rules about a group. serving yields the nodes that could
// serve it, whatever they have left; a spread is measured over their domains.
func (b *Book) View(j *model.Job, group int, serving func(yield func(*model.Node) bool)) *View {
	v := &View{book: b, job: j, group: group}
	for _, r := range b.rules.own[member{j.ID, group}] {
		v.bars = append(v.bars, bar{r.Over, r.targets, r.String()})
	}
	b.rules.naming(j, group, func(r *rule) {
		if !r.Self() {
			v.bars = append(v.bars, bar{r.Over, r.owners, "job " + r.job.ID + " keeps " + r.String()})
		}
	})
	rules := j.Spec.Groups[group].Spread
	v.domains, v.floor = make([][]string, len(rules)), make([]int64, len(rules))
	seen := make([]map[string]bool, len(rules))
	if len(rules) == 0 {
		return v
	}
	for n := range serving {
		for i := range rules {
			if seen[i] == nil {
				seen[i] = map[string]bool{"": true}
			}
			if d := rules[i].Over.Of(n); !seen[i][d] {
				seen[i][d] = true
				v.domains[i] = append(v.domains[i], d)
			}
		}
	}
	return v
}

// Look takes in what has changed; Barred is valid until the next change.
func (v *View) Look() {
	for i, counts := range v.book.spreadOf(v.job, v.group) {
		least := int64(-1)
		for _, d := range v.domains[i] {
			if n := counts[d]; least < 0 || n < least {
				least = n
			}
		}
		v.floor[i] = max(least, 0)
	}
}

// Barred returns the position of the first rule that keeps a further task of the
// group off a node, or -1.
func (v *View) Barred(n *model.Node) int {
	for i := range v.bars {
		b := &v.bars[i]
		if d := b.over.Of(n); d == "" || b.others[d] > 0 {
			return i
		}
	}
	rules := v.job.Spec.Groups[v.group].Spread
	for i, counts := range v.book.spreadOf(v.job, v.group) {
		if d := rules[i].Over.Of(n); d == "" || counts[d]+1-v.floor[i] > int64(rules[i].MaxSkew) {
			return len(v.bars) + i
		}
	}
	return -1
}

// Labels names the rules, by the positions that Barred returns.
func (v *View) Labels() []string {
	var labels []string
	for i := range v.bars {
		labels = append(labels, v.bars[i].label)
	}
	rules := v.job.Spec.Groups[v.group].Spread
	for i := range rules {
		labels = append(labels, rules[i].String())
	}
	return labels
}

// Add notes that a task of the group was put on a node.
func (v *View) Add(n *model.Node) { v.book.Add(v.job, v.group, n) }
