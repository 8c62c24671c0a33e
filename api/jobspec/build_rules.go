package jobspec

import (
	"fmt"
	"slices"

	"caravan/api/caravanv1"
)

// conditions builds a list of conditions, those by attribute first and then the
// expression.
func (b *builder) conditions(f fields, path string) []*caravanv1.Constraint {
	constraints := b.constraints(f.get("constraints"), path)
	return b.where(constraints, f.get("where"), path)
}

// where appends an expression to conditions.
func (b *builder) where(constraints []*caravanv1.Constraint, v *value, path string) []*caravanv1.Constraint {
	t, ok := as[term](v)
	if !ok {
		return constraints
	}
	b.places[fmt.Sprintf("%s[%d]", path, len(constraints))] = located{at: t.at, path: v.path}
	return append(constraints, t.constraint)
}

func domainOf(name string) caravanv1.Domain {
	switch name {
	case "rack":
		return caravanv1.Domain_DOMAIN_RACK
	case "zone":
		return caravanv1.Domain_DOMAIN_ZONE
	}
	return caravanv1.Domain_DOMAIN_NODE
}

func domainName(d caravanv1.Domain) string {
	switch d {
	case caravanv1.Domain_DOMAIN_RACK:
		return "rack"
	case caravanv1.Domain_DOMAIN_ZONE:
		return "zone"
	}
	return "node"
}

func (b *builder) spread(v *value, path string) []*caravanv1.Spread {
	b.putKey(path, v)
	list, _ := as[[]*value](v)
	var rules []*caravanv1.Spread
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.put(at, c)
		rule, over := &caravanv1.Spread{MaxSkew: defaultSkew}, ""
		if f, ok := as[fields](c); ok {
			over = take(b, f, "over", at+".over", "")
			rule.MaxSkew = int32(take[int64](b, f, "max_skew", at+".max_skew", defaultSkew))
		} else {
			over, _ = as[string](c)
		}
		rule.Over = domainOf(over)
		if over == "" {
			continue // reported already
		}
		if slices.ContainsFunc(rules, func(other *caravanv1.Spread) bool { return other.GetOver() == rule.GetOver() }) {
			b.report(c.at, c.path, "spreads over "+over+" twice", "keep the smaller max_skew")
		}
		rules = append(rules, rule)
	}
	return rules
}

func (b *builder) apart(v *value, path string) []*caravanv1.Apart {
	b.putKey(path, v)
	list, _ := as[[]*value](v)
	var rules []*caravanv1.Apart
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.put(at, c)
		rule := &caravanv1.Apart{Over: caravanv1.Domain_DOMAIN_NODE}
		if f, ok := as[fields](c); ok {
			rule.Over = domainOf(take(b, f, "over", at+".over", ""))
			rule.Job = take(b, f, "job", at+".job", "")
			match := take(b, f, "label", at+".label", labelMatch{})
			rule.Label, rule.Value, rule.WithValue = match.key, match.value, match.withValue
			b.oneOf(c, f, "self", "job", "label")
		}
		rules = append(rules, rule)
	}
	return rules
}

// oneOf reports a rule that names no tasks, or several sorts of them.
func (b *builder) oneOf(v *value, f fields, names ...string) {
	var first *value
	for _, name := range names {
		next := f.get(name)
		switch {
		case next == nil:
		case first == nil:
			first = next
		default:
			b.report(next.key, next.path, fmt.Sprintf("%s stands beside %s", next.name, first.name), "make it a rule of its own: start another entry of the list with \"- \"")
			return
		}
	}
	if own, ok := as[bool](f.get("self")); first == nil || ok && !own {
		b.report(v.start(), v.path, "does not say which tasks to keep apart from", "add job: NAME, label: key=value, or self: true for the group's own")
	}
}

func (w *writer) spread(rules []*caravanv1.Spread) {
	w.list("spread", len(rules), func(w *writer, i int) {
		w.text("over", domainName(rules[i].GetOver()))
		w.number("max_skew", int64(rules[i].GetMaxSkew()), defaultSkew)
	})
}

func (w *writer) apart(rules []*caravanv1.Apart) {
	w.list("apart_from", len(rules), func(w *writer, i int) {
		r := rules[i]
		label := r.GetLabel()
		if r.GetWithValue() {
			label += "=" + r.GetValue()
		}
		w.flag("self", r.GetJob() == "" && label == "")
		w.text("job", r.GetJob())
		w.text("label", label)
		if r.GetOver() > caravanv1.Domain_DOMAIN_NODE {
			w.text("over", domainName(r.GetOver()))
		}
	})
}
