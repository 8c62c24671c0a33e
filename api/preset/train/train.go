// Package train writes the job file of a training: a script on one worker or on a gang of them, once
// or for each point of a sweep.
package train

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"caravan/api/preset"
)

//go:embed job.yaml.tmpl
var jobText string

// Options say what is to be trained, and on what.
type Options struct {
	// Script is a path below Dir, which is absolute and sent along with the job; Args follow it.
	Dir, Script string
	Args        []string
	// Python is the interpreter.
	Python string
	// Workers is the number of ranks, or with PerNode that of nodes, each of which starts a rank for
	// each of its GPUs.
	Workers int
	PerNode bool
	// GPUs, CPU and Memory of each worker, as in a job file. GPUs "0" asks for none.
	GPUs, Memory string
	CPU          int
	// GPUMemory is a condition on the whole memory of each GPU, such as >=16GiB; empty for none.
	GPUMemory string
	// Sweep has the axes of a sweep as NAME=VALUE,VALUE or NAME=0..9. Each value reaches the script as --NAME VALUE.
	Sweep []string
	// Retries after failures. What exits with 75 has saved and is run again uncharged.
	Retries int
}

// torchrun starts the ranks of a node: as many as it has GPUs, or one. Its arguments are the script's.
const torchrun = `exec torchrun --nnodes="$NNODES" --node_rank="$NODE_RANK" --nproc_per_node="$(( ${GPUS_PER_NODE:-0} > 0 ? GPUS_PER_NODE : 1 ))" --master_addr="$MASTER_ADDR" --master_port="$MASTER_PORT" "$@"`

type values struct {
	Options
	Name    string
	Axes    []axis
	Command string
	Devices string
}

type axis struct{ Name, Values string }

// Job writes the job file.
func Job(o Options) ([]byte, error) {
	v := values{Options: o, Name: preset.Name("train", o.Script)}
	if err := v.fill(); err != nil {
		return nil, err
	}
	t, err := preset.Template("train", jobText)
	if err != nil {
		return nil, err
	}
	return preset.Write(t, v)
}

func (v *values) fill() error {
	switch {
	case v.Workers < 1:
		return fmt.Errorf("%d workers cannot train", v.Workers)
	case v.CPU < 1:
		return fmt.Errorf("%d cores cannot train", v.CPU)
	case len(v.Sweep) > 0 && (v.Workers > 1 || v.PerNode):
		return errors.New("a sweep has one worker for each point: leave out --workers and --per-node, or --sweep")
	case !filepath.IsAbs(v.Dir) || !filepath.IsLocal(v.Script):
		return fmt.Errorf("script %q is not below the directory %q", v.Script, v.Dir)
	}
	words := []string{v.Python, v.Script}
	if v.PerNode {
		words = []string{"/bin/sh", "-euc", torchrun, "torchrun", v.Script}
	}
	words = append(words, v.Args...)
	for _, text := range v.Sweep {
		name, list, ok := strings.Cut(text, "=")
		if !ok || name == "" || list == "" {
			return fmt.Errorf("axis %q is not NAME=VALUE,VALUE", text)
		}
		if !strings.Contains(list, "..") { // a range stands alone
			list = "[" + list + "]"
		}
		v.Axes = append(v.Axes, axis{Name: name, Values: list})
		words = append(words, "--"+name, "${matrix."+name+"}")
	}
	for i, w := range words {
		quoted, err := preset.Quote(w)
		if err != nil {
			return err
		}
		words[i] = quoted
	}
	v.Command = strings.Join(words, ", ")
	if v.GPUs != "" && v.GPUs != "0" {
		v.Devices = "gpu: " + v.GPUs
		if v.GPUMemory != "" {
			v.Devices += fmt.Sprintf(", memory: %q", v.GPUMemory)
		}
	}
	return nil
}
