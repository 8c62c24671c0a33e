package trace

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// maxModels bounds the models of one gpu_spec.
const maxModels = 64

// ReadPods reads a pod list. The name of the file is for errors, which are *Error for a fault in the
// text.
func ReadPods(file string, r io.Reader) ([]Pod, error) {
	t, err := open(file, r, "name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")
	if err != nil {
		return nil, err
	}
	var pods []Pod
	for t.next() {
		p := Pod{
			Name:      t.text("name"),
			CPUMilli:  t.number("cpu_milli", 0, maxCPU),
			MemoryMiB: t.number("memory_mib", 0, maxMemory),
			Devices:   int(t.number("num_gpu", 0, MaxDevices)),
		}
		switch milli := t.number("gpu_milli", 0, Whole); {
		case p.Devices == 0 && milli != 0:
			t.fail("gpu_milli", "is %d for a pod without devices: it must be 0", milli)
		case p.Devices > 0 && milli == 0:
			t.fail("gpu_milli", "is 0 for a pod with devices: it must be from 1 to %d", Whole)
		case p.Devices > 1 && milli != Whole:
			t.fail("gpu_milli", "is %d for %d devices: more than one are taken whole, %d", milli, p.Devices, Whole)
		default:
			p.Milli = milli
		}
		if spec := t.text("gpu_spec"); !missing(spec) {
			p.Models = models(t, spec)
		}
		pods = append(pods, p)
	}
	if t.err == nil && len(pods) == 0 {
		t.err = &Error{file, 1, 1, "no pods below the first line"}
	}
	return pods, t.err
}

// models splits a gpu_spec at its bars.
func models(t *table, spec string) []string {
	names := strings.Split(spec, "|")
	if len(names) > maxModels {
		t.fail("gpu_spec", "names %d models, more than %d", len(names), maxModels)
	}
	for i, name := range names {
		if names[i] = strings.TrimSpace(name); names[i] == "" {
			t.fail("gpu_spec", "%q has an empty model between its bars", spec)
		}
	}
	return names
}

// WritePods writes a pod list that ReadPods reads back unchanged.
func WritePods(w io.Writer, pods []Pod) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"}}
	for _, p := range pods {
		rows = append(rows, []string{
			p.Name, strconv.FormatInt(p.CPUMilli, 10), strconv.FormatInt(p.MemoryMiB, 10),
			strconv.Itoa(p.Devices), strconv.FormatInt(p.Milli, 10), strings.Join(p.Models, "|"),
		})
	}
	return out.WriteAll(rows)
}
