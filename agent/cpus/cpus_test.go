package cpus

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"k8s.io/utils/cpuset"
	"pgregory.net/rapid"
)

// host makes a root with memory nodes given as "0-3/65536": processors and MiB.
func host(t testing.TB, nodes ...string) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		full := filepath.Join(root, "sys/devices/system", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var online cpuset.CPUSet
	for i, n := range nodes {
		list, mib, _ := strings.Cut(n, "/")
		set, err := cpuset.Parse(list)
		if err != nil {
			t.Fatal(err)
		}
		online = online.Union(set)
		kib, err := strconv.Atoi(mib)
		if err != nil {
			t.Fatal(err)
		}
		put(fmt.Sprintf("node/node%d/cpulist", i), list+"\n")
		put(fmt.Sprintf("node/node%d/meminfo", i), fmt.Sprintf("Node %d MemTotal:  %d kB\nNode %d MemFree: 1 kB\n", i, kib<<10, i))
	}
	put("cpu/online", online.String()+"\n")
	return root
}

// TestBinding runs the scripts in testdata. Commands:
//
//	host POLICY NODE...          a host with memory nodes, each PROCESSORS/MIB
//	take TASK cpu= memory= near= prints what it is bound to, and who was moved
//	release TASK                 prints who was moved
func TestBinding(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var b *Book
		var moved []string
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			moved = nil
			out := ""
			switch d.Cmd {
			case "host":
				var nodes []string
				for _, a := range d.CmdArgs[1:] {
					nodes = append(nodes, a.Key)
				}
				top, err := ReadTopology(host(t, nodes...))
				if err != nil {
					return err.Error()
				}
				policy, err := ParsePolicy(d.CmdArgs[0].Key)
				if err != nil {
					return err.Error()
				}
				b, err = New(Config{Topology: top, Policy: policy, Move: func(task string, to Pin) {
					moved = append(moved, task+" moves to "+to.Describe()+"\n")
				}})
				if err != nil {
					return err.Error()
				}
			case "take":
				p := b.Take(d.CmdArgs[0].Key, demand(t, d.CmdArgs[1:]))
				out = fmt.Sprintf("cpus %s memory %s %s\n", orAll(p.Describe()), orAll(p.MemoryNodes), p.Note)
				out = strings.ReplaceAll(out, " \n", "\n")
			case "release":
				b.Release(d.CmdArgs[0].Key)
			}
			return out + strings.Join(moved, "")
		})
	})
}

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return s
}

func demand(t *testing.T, args []datadriven.CmdArg) Demand {
	var d Demand
	for _, a := range args {
		for _, v := range a.Vals {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			switch a.Key {
			case "cpu":
				d.CPUMilli = int64(n)
			case "memory":
				d.MemoryMiB = int64(n)
			case "near":
				d.Near = append(d.Near, n)
			}
		}
	}
	return d
}

// Whatever comes and goes, no processor is given to two, those who share have one to run on, and what
// they have is never somebody's own.
func TestAProcessorIsOwnedByOneTask(t *testing.T) {
	top, err := ReadTopology(host(t, "0-3,8-11/1000", "4-7,12-15/1000"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		pins := map[string]Pin{}
		b, err := New(Config{Topology: top, Policy: Exact, Move: func(task string, to Pin) { pins[task] = to }})
		if err != nil {
			t.Fatal(err)
		}
		left := int64(16000)
		demands := map[string]int64{}
		for i := range 30 {
			task := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "task"))
			if cpu, runs := demands[task]; runs {
				b.Release(task)
				left += cpu
				delete(demands, task)
				delete(pins, task)
			} else {
				cpu := int64(rapid.IntRange(1, 20).Draw(t, "cpu")) * 250
				if cpu > left {
					continue
				}
				left -= cpu
				demands[task] = cpu
				pins[task] = b.Take(task, Demand{CPUMilli: cpu, MemoryMiB: 100, Near: []int{i % 3}})
			}
			var owned cpuset.CPUSet
			for task, p := range pins {
				set, err := cpuset.Parse(p.CPUs)
				if err != nil || set.Size() == 0 {
					t.Fatalf("%s runs on %q", task, p.CPUs)
				}
				if p.Own {
					if owned.Intersection(set).Size() > 0 {
						t.Fatalf("%s owns what another has: %v", task, pins)
					}
					owned = owned.Union(set)
				}
			}
			for task, p := range pins {
				if set, _ := cpuset.Parse(p.CPUs); !p.Own && set.Intersection(owned).Size() > 0 {
					t.Fatalf("%s shares what another owns: %v", task, pins)
				}
			}
		}
	})
}

func TestAKernelWithoutMemoryNodesHasOne(t *testing.T) {
	root := host(t, "0-1/100")
	if err := os.RemoveAll(filepath.Join(root, "sys/devices/system/node")); err != nil {
		t.Fatal(err)
	}
	top, err := ReadTopology(root)
	if err != nil || len(top.Nodes) != 1 || top.CPUs().String() != "0-1" {
		t.Errorf("%v, %v", top, err)
	}
	if _, err := ReadTopology(t.TempDir()); err == nil {
		t.Error("processors were made up")
	}
}

func TestANewAgentKnowsWhoOwnsWhat(t *testing.T) {
	top, err := ReadTopology(host(t, "0-3/100"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Topology: top, Policy: Exact, Move: func(string, Pin) {}})
	if err != nil {
		t.Fatal(err)
	}
	b.Adopt("old", Demand{CPUMilli: 2000}, Pin{CPUs: "0-1", Own: true})
	if p := b.Take("new", Demand{CPUMilli: 2000}); p.CPUs != "2-3" || !p.Own {
		t.Errorf("bound to %v", p)
	}
}

func TestThisHostHasProcessors(t *testing.T) {
	if top, err := ReadTopology(""); err != nil || top.CPUs().Size() == 0 {
		t.Errorf("%v, %v", top, err)
	}
}
