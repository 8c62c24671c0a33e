package where

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the files of testdata. Commands:
//
//	node, device    checks one expression a line, and shows its fault or of which
//	                of the examples below it is true
//	text            checks the whole input as one expression on a node
func TestScenarios(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "node", "device":
				s := OnNode
				if d.Cmd == "device" {
					s = OnDevice
				}
				var b strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					b.WriteString(line + "\n  " + show(c, s, line) + "\n")
				}
				return b.String()
			case "text":
				return show(c, OnNode, d.Input) + "\n"
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
	})
}

func show(c *Checker, s Subject, text string) string {
	e, err := c.Compile(s, text)
	if f, ok := errors.AsType[*Fault](err); ok {
		return fmt.Sprintf("%d:%d+%d %s\n  %s", f.Line, f.Col, f.Width, f.Message, f.Hint)
	}
	var names []string
	for _, n := range nodes() {
		if s == OnNode && e.OfNode(&n) {
			names = append(names, n.Name)
		}
	}
	for _, d := range nodes()[0].Devices {
		if s == OnDevice && e.OfDevice(&d) {
			names = append(names, d.Model)
		}
	}
	out := "true of " + strings.Join(names, ", ")
	if len(names) == 0 {
		out = "true of none"
	}
	if e.Named {
		out += ", by name"
	}
	return out
}

// nodes are a GPU host, which carries all devices of the examples, and a small one.
func nodes() []Node {
	return []Node{
		{
			Name: "big", Family: "gn5", Zone: "a", Rack: "r1", CPU: 56, Memory: 240 << 30,
			Devices: []Device{
				{Kind: "gpu", Vendor: "nvidia", Model: "P100", Memory: 16 << 30, Share: 1, FP64TFLOPS: 4.7, ComputeCapability: 6},
				{Kind: "gpu", Vendor: "amd", Model: "S7150", Memory: 2 << 30, Share: 0.25, Attributes: map[string]string{"region": "x"}},
			},
			Attributes: map[string]string{"driver": "535.1"}, Numbers: map[string]float64{"licences": 4},
		},
		{Name: "small", Family: "c4", Zone: "b", CPU: 4, Memory: 8 << 30},
	}
}

func TestOneCheckerServesManyAtOnce(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Compile(OnNode, `node.cpu > 8.0 && node.devices.exists(d, d.vendor == "amd")`)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if all := nodes(); !e.OfNode(&all[0]) || e.OfNode(&all[1]) {
				t.Error("the same expression is true of others")
			}
			if _, err := c.Compile(OnDevice, "device.memory > 1"); err != nil {
				t.Error(err)
			}
		})
	}
}
