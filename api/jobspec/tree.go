package jobspec

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"caravan/api/where"
)

// value is a value of the file after reading: its place, and either what it
// means or the mark that a problem with it has been reported.
type value struct {
	// name is the key the value stands under, "" for an entry of a list.
	name string
	// path is how its user would call it: groups.encode.resources.memory.
	path string
	// key is the place of the key, at that of the value itself.
	key, at span
	// bad values are neither absent nor usable: whoever meets one stays silent.
	bad bool
	// optional values may be left out altogether.
	optional bool
	// data is what the notation that read the value makes of it.
	data any
}

// as gives a value's data, or false when it is absent or bad.
func as[T any](v *value) (data T, ok bool) {
	if v == nil || v.bad {
		return data, false
	}
	data, ok = v.data.(T)
	return data, ok
}

// fields is the data of a mapping, in the order of the file.
type fields []*value

// get gives the named field, or nil.
func (f fields) get(name string) *value {
	for _, v := range f {
		if v.name == name {
			return v
		}
	}
	return nil
}

// reader walks a file against the schema and collects problems.
type reader struct {
	file     string
	lines    []string
	anchors  map[string]ast.Node
	aliases  int
	problems []Problem
	// expressions is made when first needed.
	expressions *where.Checker
}

// report notes a problem with a value.
func (r *reader) report(at span, path, message, hint string) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Col: at.col, Path: path,
		Message: message, Hint: hint, Excerpt: excerpt(r.lines, at),
	})
}

// reject reports a problem with a value and marks the value.
func (r *reader) reject(v *value, at span, message, hint string) {
	v.bad = true
	r.report(at, v.path, message, hint)
}

// collectAnchors finds what aliases may refer to.
func (r *reader) collectAnchors(root ast.Node) {
	for _, n := range ast.Filter(ast.AnchorType, root) {
		if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
			r.anchors[anchor.Name.GetToken().Value] = anchor.Value
		}
	}
}

// resolve looks through anchors and aliases. It reports and gives nil for a tag,
// for an unknown alias and for too many of them.
func (r *reader) resolve(v *value, n ast.Node) ast.Node {
	for {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			r.aliases++
			name := t.Value.GetToken()
			at := place(r.lines, name)
			target, ok := r.anchors[name.Value]
			if !ok {
				hint := fmt.Sprintf("define it before with &%s, or put the text into quotes", name.Value)
				if near := nearest(name.Value, sortedKeys(r.anchors)); near != "" {
					hint = fmt.Sprintf("did you mean *%s?", near)
				}
				r.reject(v, at, fmt.Sprintf("the alias *%s has no anchor", name.Value), hint)
				return nil
			}
			if r.aliases > maxAliases {
				if r.aliases == maxAliases+1 {
					r.report(at, v.path, fmt.Sprintf("the file expands more than %d aliases", maxAliases), "write the values out, or use fewer aliases inside anchors")
				}
				v.bad = true
				return nil
			}
			n = target
		case *ast.TagNode:
			at := place(r.lines, t.Start)
			r.reject(v, at, fmt.Sprintf("%s is read as a YAML tag, and job files have none", quote(t.Start.Value)),
				fmt.Sprintf("put a text that starts with ! into quotes: %q", t.Start.Value))
			return nil
		default:
			return n
		}
	}
}

// entry is one pair of a mapping.
type entry struct {
	name string
	key  span
	node ast.Node
}

// entries lists the pairs of a mapping, with merge keys (<<) expanded and
// double keys reported. It gives false when the node is no mapping.
func (r *reader) entries(v *value, n ast.Node) ([]entry, bool) {
	var pairs []*ast.MappingValueNode
	switch t := n.(type) {
	case *ast.MappingNode:
		pairs = t.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{t}
	default:
		return nil, false
	}
	var own, merged []entry
	seen := make(map[string]span, len(pairs))
	for _, pair := range pairs {
		if pair.Key.IsMergeKey() {
			merged = append(merged, r.merge(v, pair.Value)...)
			continue
		}
		name, at, ok := r.keyName(v, pair.Key)
		if !ok {
			continue
		}
		if first, double := seen[name]; double {
			r.report(at, join(v.path, name), fmt.Sprintf("%s is written twice", quote(name)),
				fmt.Sprintf("keep one; the first is on line %d", first.line))
			continue
		}
		seen[name] = at
		own = append(own, entry{name: name, key: at, node: pair.Value})
	}
	for _, e := range merged {
		if _, double := seen[e.name]; !double {
			seen[e.name] = e.key
			own = append(own, e)
		}
	}
	return own, true
}

// merge gives the pairs that a merge key brings in.
func (r *reader) merge(v *value, n ast.Node) []entry {
	n = r.resolve(v, n)
	if n == nil {
		return nil
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		var all []entry
		for _, item := range list.Values {
			if item = r.resolve(v, item); item != nil {
				found, ok := r.entries(v, item)
				all = append(all, found...)
				if !ok {
					r.report(r.nodePlace(item, v.at), v.path, "<< wants mappings", "write <<: *name of an anchored mapping")
				}
			}
		}
		return all
	}
	found, ok := r.entries(v, n)
	if !ok {
		r.report(r.nodePlace(n, v.at), v.path, "<< wants a mapping", "write <<: *name of an anchored mapping")
	}
	return found
}

// keyName reads a key; any scalar will do, as it is written.
func (r *reader) keyName(v *value, key ast.MapKeyNode) (name string, at span, ok bool) {
	n := ast.Node(key)
	if explicit, is := n.(*ast.MappingKeyNode); is {
		n = explicit.Value
	}
	if text, is := n.(*ast.StringNode); is {
		return text.Value, place(r.lines, text.Token), true
	}
	if _, is := n.(ast.ScalarNode); is && n.GetToken() != nil {
		return n.GetToken().Value, place(r.lines, n.GetToken()), true
	}
	r.report(r.nodePlace(n, v.at), v.path, "this is not a key", "write the key as plain text")
	return "", span{}, false
}

// items lists the entries of a list, or false when the node is no list.
func items(n ast.Node) ([]ast.Node, bool) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, false
	}
	return list.Values, true
}

// nodePlace gives the place of a node's first character. fallback serves for
// nodes that the parser has made up, such as an absent value.
func (r *reader) nodePlace(n ast.Node, fallback span) span {
	switch t := n.(type) {
	case *ast.MappingNode:
		if !t.IsFlowStyle && len(t.Values) > 0 {
			return r.nodePlace(t.Values[0], fallback)
		}
	case *ast.MappingValueNode:
		return r.nodePlace(t.Key, fallback)
	case *ast.NullNode:
		if t.Token == nil || t.Token.Type == token.ImplicitNullType {
			return fallback
		}
	case nil:
		return fallback
	}
	if n.GetToken() == nil {
		return fallback
	}
	return place(r.lines, n.GetToken())
}

// join makes the path of a field.
func join(path, name string) string {
	if !labelRegexp.MatchString(name) {
		return fmt.Sprintf("%s[%q]", path, name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// sortedKeys lists a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
