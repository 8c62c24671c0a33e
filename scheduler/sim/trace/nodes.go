package trace

import (
	"encoding/csv"
	"io"
	"strconv"
)

// ReadNodes reads a node list. The name of the file is for errors, which are *Error for a fault in
// the text.
func ReadNodes(file string, r io.Reader) ([]Node, error) {
	t, err := open(file, r, "sn", "cpu_milli", "memory_mib", "gpu", "model")
	if err != nil {
		return nil, err
	}
	var nodes []Node
	seen := map[string]int{}
	for t.next() {
		n := Node{
			Name:      t.text("sn"),
			CPUMilli:  t.number("cpu_milli", 1, maxCPU),
			MemoryMiB: t.number("memory_mib", 1, maxMemory),
			Devices:   int(t.number("gpu", 0, MaxDevices)),
			Milli:     Whole,
		}
		if t.has("gpu_milli") {
			n.Milli = t.number("gpu_milli", 1, Whole)
		}
		if t.has("family") {
			n.Family = t.text("family")
		}
		if n.Devices > 0 {
			if n.Model = t.text("model"); missing(n.Model) {
				t.fail("model", "is empty, and node %s has %d devices", n.Name, n.Devices)
			}
		}
		if n.Name == "" {
			t.fail("sn", "is empty: every node needs a name")
		}
		if first, twice := seen[n.Name]; twice {
			t.fail("sn", "%s is already the name of the node in line %d", n.Name, first)
		}
		if t.err == nil {
			seen[n.Name] = t.line(0)
			nodes = append(nodes, n)
		}
	}
	if t.err == nil && len(nodes) == 0 {
		t.err = &Error{file, 1, 1, "no nodes below the first line"}
	}
	return nodes, t.err
}

// WriteNodes writes a node list that ReadNodes reads back unchanged.
func WriteNodes(w io.Writer, nodes []Node) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"sn", "cpu_milli", "memory_mib", "gpu", "model", "gpu_milli", "family"}}
	for _, n := range nodes {
		rows = append(rows, []string{
			n.Name, strconv.FormatInt(n.CPUMilli, 10), strconv.FormatInt(n.MemoryMiB, 10),
			strconv.Itoa(n.Devices), n.Model, strconv.FormatInt(n.Milli, 10), n.Family,
		})
	}
	return out.WriteAll(rows)
}

// missing reports whether a text stands for nothing.
func missing(text string) bool { return text == "" || text == "nan" || text == "NaN" }
