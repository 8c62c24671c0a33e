package family

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Catalogue holds every family, type and part. It is immutable and safe for concurrent use.
type Catalogue struct {
	partNames   []string // sorted
	familyNames []string // sorted
	parts       map[string]Part
	families    map[string]Family
	types       map[string]Type // by full name

	currency    string
	prices      map[string]Price // by full type name
	hostWatts   map[string]Watts // by full type name, or family
	deviceWatts map[string]Watts // by part
	sites       []Site           // in the order of names
}

// clone returns a copy that can be added to; of nil an empty catalogue.
func (c *Catalogue) clone() *Catalogue {
	if c == nil {
		c = &Catalogue{}
	}
	n := &Catalogue{
		partNames: slices.Clone(c.partNames), familyNames: slices.Clone(c.familyNames), currency: c.currency, sites: slices.Clone(c.sites),
		parts: maps.Clone(c.parts), families: maps.Clone(c.families), types: maps.Clone(c.types),
		prices: maps.Clone(c.prices), hostWatts: maps.Clone(c.hostWatts), deviceWatts: maps.Clone(c.deviceWatts),
	}
	fresh(&n.parts)
	fresh(&n.families)
	fresh(&n.types)
	fresh(&n.prices)
	fresh(&n.hostWatts)
	fresh(&n.deviceWatts)
	return n
}

// fresh makes a map that is not there.
func fresh[V any](m *map[string]V) {
	if *m == nil {
		*m = make(map[string]V)
	}
}

// Families returns all families in the order of their names.
func (c *Catalogue) Families() []Family {
	out := make([]Family, 0, len(c.familyNames))
	for _, name := range c.familyNames {
		out = append(out, c.families[name])
	}
	return out
}

// Parts returns all device parts in the order of their names.
func (c *Catalogue) Parts() []Part {
	out := make([]Part, 0, len(c.partNames))
	for _, name := range c.partNames {
		out = append(out, c.parts[name])
	}
	return out
}

// Family returns the family of that name, or an *UnknownError.
func (c *Catalogue) Family(name string) (Family, error) {
	f, ok := c.families[name]
	if !ok {
		return Family{}, unknown("family", name, c.familyNames)
	}
	return f, nil
}

// Part returns the device part of that name, or an *UnknownError.
func (c *Catalogue) Part(name string) (Part, error) {
	p, ok := c.parts[name]
	if !ok {
		return Part{}, unknown("device", name, c.partNames)
	}
	return p, nil
}

// Type returns the type that a name stands for: a full name (ecs.gn4-c8g1.4xlarge), the same without
// "ecs.", or a family alone, which means its largest type. Otherwise the error is an *UnknownError.
func (c *Catalogue) Type(name string) (Type, error) {
	short := strings.TrimPrefix(name, "ecs.")
	if f, ok := c.families[short]; ok {
		return f.Largest(), nil
	}
	if t, ok := c.types["ecs."+short]; ok {
		return t, nil
	}
	// A known family with a wrong size: offer that family's sizes, else the families.
	if end := strings.IndexAny(short, ".-"); end >= 0 {
		if f, ok := c.families[short[:end]]; ok {
			names := make([]string, 0, len(f.Types))
			for _, t := range f.Types {
				names = append(names, t.Name)
			}
			return Type{}, unknown("instance type", name, names)
		}
		short = short[:end]
	}
	return Type{}, unknown("family", short, c.familyNames)
}

// UnknownError says that a catalogue has no family, type or device of a name.
type UnknownError struct {
	What    string   // "family", "instance type" or "device"
	Name    string   // what was asked for
	Nearest []string // up to three names that are spelt alike, nearest first
}

// Error names what was asked for and the nearest names there are.
func (e *UnknownError) Error() string {
	if len(e.Nearest) == 0 {
		return fmt.Sprintf("unknown %s %q", e.What, e.Name)
	}
	return fmt.Sprintf("unknown %s %q: did you mean %s?", e.What, e.Name, strings.Join(e.Nearest, ", "))
}

// Bounds of a suggestion.
const (
	maxNearest = 3
	maxSpelled = 64 // bytes of a name that spelling is compared for
)

// unknown builds the error for a name that is none of known.
func unknown(what, name string, known []string) *UnknownError {
	err := &UnknownError{What: what, Name: name}
	if len(name) > maxSpelled {
		err.Name = name[:maxSpelled] + "..."
		return err
	}
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, k := range known {
		// Half of the letters may differ: further away a suggestion only puzzles.
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= max(1, len(k)/2) {
			near = append(near, candidate{k, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	for _, n := range near[:min(maxNearest, len(near))] {
		err.Nearest = append(err.Nearest, n.name)
	}
	return err
}

// distance is the Levenshtein distance between two short strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
