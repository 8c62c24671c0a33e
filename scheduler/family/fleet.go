package family

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a fleet line.
const (
	maxFleetLine  = 4096    // bytes
	maxFleetNodes = 100_000 // machines in one fleet, the largest fleet that is ever simulated
)

// Count is a number of machines of one type.
type Count struct {
	Type  Type
	Nodes int // > 0
}

// ParseFleet reads a line such as "gn4=2,ga1=1,f1=1,c4=4": types as Type understands them, each with
// a number of machines (1 if left out), separated by commas. The result keeps the order of the line.
// A type may be named once, and all machines together may be at most 100,000.
func (c *Catalogue) ParseFleet(line string) ([]Count, error) {
	if len(line) > maxFleetLine {
		return nil, fmt.Errorf("fleet line has %d bytes, more than the %d allowed", len(line), maxFleetLine)
	}
	if strings.TrimSpace(line) == "" {
		return nil, errors.New(`the fleet is empty: name families and numbers, such as "gn4=2,c4=4"`)
	}
	var fleet []Count
	seen := map[string]string{} // full type name -> the entry that named it
	total := 0
	for entry := range strings.SplitSeq(line, ",") {
		entry = strings.TrimSpace(entry)
		count, err := c.parseEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("fleet entry %q: %w", entry, err)
		}
		if first, twice := seen[count.Type.Name]; twice {
			return nil, fmt.Errorf("fleet entry %q: %s is already named by %q: add the numbers up",
				entry, count.Type.Name, first)
		}
		seen[count.Type.Name] = entry
		if total += count.Nodes; total > maxFleetNodes {
			return nil, fmt.Errorf("fleet entry %q: the fleet has more than %d machines", entry, maxFleetNodes)
		}
		fleet = append(fleet, count)
	}
	return fleet, nil
}

// parseEntry reads one "name" or "name=count".
func (c *Catalogue) parseEntry(entry string) (Count, error) {
	name, number, given := strings.Cut(entry, "=")
	name, number = strings.TrimSpace(name), strings.TrimSpace(number)
	if name == "" {
		return Count{}, errors.New("no family or type before the number")
	}
	t, err := c.Type(name)
	if err != nil {
		return Count{}, err
	}
	if !given {
		return Count{Type: t, Nodes: 1}, nil
	}
	if !digits(number) {
		return Count{}, fmt.Errorf("%q is not a number of machines", number)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxFleetNodes {
		return Count{}, fmt.Errorf("%s machines: must be from 1 to %d", number, maxFleetNodes)
	}
	return Count{Type: t, Nodes: n}, nil
}
