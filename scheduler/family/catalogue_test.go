package family

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

func load(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestScenarios runs the scripts in testdata. Commands:
//
//	family NAME            prints a family, its types and its devices
//	part NAME              prints a device part
//	type NAME              prints the type that a name stands for
//	fleet                  reads the line below it as a fleet
//	parse                  reads the text below it as a catalogue and prints it, or the errors
//	extend                 reads the text below it as an operator's file and prints what it adds
//	match FACTS            prints the types that a host can be, of vcpu=, mem= (MiB), cpu= and parts
func TestScenarios(t *testing.T) {
	c := load(t)
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var name string
			if len(d.CmdArgs) > 0 {
				name = d.CmdArgs[0].Key
			}
			if d.Cmd == "match" {
				return match(c, d.CmdArgs)
			}
			out, err := run(c, d.Cmd, name, d.Input)
			if err != nil {
				return "error: " + strings.TrimSpace(err.Error()) + "\n"
			}
			return out
		})
	})
}

func run(c *Catalogue, cmd, name, input string) (string, error) {
	switch cmd {
	case "family":
		f, err := c.Family(name)
		return formatFamily(f), err
	case "part":
		p, err := c.Part(name)
		p.Source = "" // prose
		return strings.ReplaceAll(strings.Trim(fmt.Sprintf("%+v", p), "{}"), " ", "\n") + "\n", err
	case "type":
		t, err := c.Type(name)
		return formatType(t), err
	case "fleet":
		fleet, err := c.ParseFleet(input)
		var b strings.Builder
		for _, n := range fleet {
			fmt.Fprintf(&b, "%d x %s", n.Nodes, formatType(n.Type))
		}
		return b.String(), err
	case "parse":
		parsed, err := Parse([]byte(input))
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, f := range parsed.Families() {
			b.WriteString(formatFamily(f))
		}
		return b.String(), nil
	case "extend":
		extended, err := c.Extend("my.yaml", []byte(input))
		if err != nil {
			return "", err
		}
		return formatEconomy(c, extended), nil
	default:
		return "", fmt.Errorf("no command %q", cmd)
	}
}

// formatEconomy prints what one catalogue has beyond another.
func formatEconomy(base, c *Catalogue) string {
	var b strings.Builder
	for _, f := range c.Families() {
		for _, t := range f.Types {
			_, err := base.Type(t.Name)
			if p, w := c.Price(t.Name), c.Watts(t); err != nil || p != (Price{}) || w.Idle != 0 {
				fmt.Fprintf(&b, "%s price=%d/%d watts=%d/%d\n", t.Name, p.OnDemandMicro, p.SpotMicro, w.Idle, w.Active)
			}
		}
	}
	for _, s := range c.Sites() {
		fmt.Fprintf(&b, "site %s %v pue=%d tariff=%d, a kW for an hour costs %d %s millionths\n", s.Name, s.Zones, s.PUEMilli, s.TariffMicro, s.EnergyMicroPerHour(1000), c.Currency())
	}
	return b.String()
}

func match(c *Catalogue, args []datadriven.CmdArg) string {
	f := Facts{Devices: map[string]int64{}}
	for _, a := range args {
		if a.Key == "cpu" {
			f.CPU = strings.ReplaceAll(a.Vals[0], "_", " ")
			continue
		}
		n, err := strconv.ParseInt(a.Vals[0], 10, 64)
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		switch a.Key {
		case "vcpu":
			f.VCPU = n
		case "mem":
			f.MemMiB = n
		default:
			f.Devices[a.Key] = n
		}
	}
	out := ""
	for _, t := range c.Match(f) {
		out += t.Name + "\n"
	}
	if out == "" {
		return "none\n"
	}
	return out
}

// The page of the documentation lists what is built in.
func TestTheReferenceListsTheCatalogue(t *testing.T) {
	const page = "../../docs/families.md"
	want := Reference(load(t))
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || !bytes.Equal(have, want) {
		t.Errorf("%s is not what the catalogue generates (%v): run go test ./scheduler/family -rewrite and read the difference", page, err)
	}
}

// The sample of an operator's file is one.
func TestTheSampleExtendsTheCatalogue(t *testing.T) {
	const sample = "../../examples/operator/catalogue.yaml"
	src, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(t).Extend(sample, src)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := c.Type("lab")
	if w := c.Watts(lab); err != nil || w.Idle != 90+2*12 || w.Active != 320+2*200 || c.Price(lab.Name).OnDemandMicro != 850_000 {
		t.Errorf("%v draws %v and costs %v, %v", lab, w, c.Price(lab.Name), err)
	}
	if s, ok := c.SiteOf("north-2"); !ok || s.Name != "north" {
		t.Errorf("zone north-2 is at %v", s)
	}
}

// Every type is what a host with just its facts is taken for, or one of the types that are like it.
func TestAHostOfEveryTypeIsRecognised(t *testing.T) {
	c := load(t)
	for _, f := range c.Families() {
		for _, want := range f.Types {
			facts := Facts{VCPU: want.VCPU, MemMiB: want.MemMiB * 97 / 100, CPU: f.CPU, Devices: map[string]int64{}}
			for _, s := range want.Devices {
				facts.Devices[s.Part.Name] = s.Thousandths
			}
			if !slices.ContainsFunc(c.Match(facts), func(t Type) bool { return t.Name == want.Name }) {
				t.Errorf("a host with the facts of %s is taken for %v", want.Name, c.Match(facts))
			}
		}
	}
}

func formatFamily(f Family) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s class=%s cpu=%s clock=%dMHz disk=%s modelled=%v\n", f.Name, f.Class, f.CPU, f.ClockMHz, f.Disk, f.Modelled)
	for _, t := range f.Types {
		b.WriteString("  " + formatType(t))
	}
	return b.String()
}

func formatType(t Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s vcpu=%d mem=%dMiB net=%dMbps", t.Name, t.VCPU, t.MemMiB, t.NetMbps)
	for _, s := range t.Devices {
		fmt.Fprintf(&b, " %s=%d", s.Part.Name, s.Thousandths)
	}
	if t.Disks.TotalGB > 0 {
		fmt.Fprintf(&b, " disks=%dx%dGB total=%dGB", t.Disks.Count, t.Disks.EachGB, t.Disks.TotalGB)
	}
	return b.String() + "\n"
}

// The largest type of each family that the project brief names.
func TestFamiliesOfTheBrief(t *testing.T) {
	for _, want := range []struct {
		family  string
		class   Class
		types   int
		largest string
		vcpu    int64
		memGiB  int64
		devices string
	}{
		{"n1", ClassShared, 7, "ecs.n1.7xlarge", 32, 64, ""},
		{"n2", ClassShared, 6, "ecs.n2.7xlarge", 32, 128, ""},
		{"xn4", ClassShared, 1, "ecs.xn4.small", 1, 1, ""},
		{"n4", ClassShared, 6, "ecs.n4.8xlarge", 32, 64, ""},
		{"mn4", ClassShared, 6, "ecs.mn4.8xlarge", 32, 128, ""},
		{"sn1", ClassCompute, 5, "ecs.sn1.7xlarge", 32, 64, ""},
		{"sn2", ClassGeneral, 6, "ecs.sn2.13xlarge", 56, 224, ""},
		{"n5", ClassGeneral, 1, "ecs.n5.24xlarge", 96, 384, ""},
		{"c4", ClassHighClock, 4, "ecs.c4.4xlarge", 16, 32, ""},
		{"cm4", ClassHighClock, 5, "ecs.cm4.6xlarge", 24, 96, ""},
		{"ce4", ClassHighClock, 2, "ecs.ce4.2xlarge", 8, 64, ""},
		{"c5", ClassCompute, 8, "ecs.c5.16xlarge", 64, 128, ""},
		{"se1", ClassMemory, 6, "ecs.se1.14xlarge", 56, 480, ""},
		{"i1", ClassStorage, 9, "ecs.i1.14xlarge", 56, 224, ""},
		{"d1", ClassStorage, 8, "ecs.d1.14xlarge", 56, 224, ""},
		{"gn4", ClassGPU, 6, "ecs.gn4.14xlarge", 56, 96, "M40:2000"},
		{"ga1", ClassGPU, 5, "ecs.ga1.14xlarge", 56, 160, "S7150:4000"},
		{"f1", ClassFPGA, 4, "ecs.f1-c28f1.14xlarge", 56, 224, "A10GX1150:2000"},
	} {
		t.Run(want.family, func(t *testing.T) {
			c := load(t)
			f, err := c.Family(want.family)
			if err != nil {
				t.Fatal(err)
			}
			l := f.Largest()
			var devices []string
			for _, s := range l.Devices {
				devices = append(devices, fmt.Sprintf("%s:%d", s.Part.Name, s.Thousandths))
			}
			got := fmt.Sprint(f.Class, len(f.Types), l.Name, l.VCPU, l.MemMiB, strings.Join(devices, " "))
			exp := fmt.Sprint(want.class, want.types, want.largest, want.vcpu, want.memGiB*1024, want.devices)
			if got != exp {
				t.Errorf("got  %s\nwant %s", got, exp)
			}
			if byName, err := c.Type(want.family); err != nil || byName.Name != want.largest {
				t.Errorf("Type(%q) = %s, %v, want the largest type %s", want.family, byName.Name, err, want.largest)
			}
		})
	}
}

// Every type can be found by its full name and by the name without "ecs.", and upholds the
// invariants of the package comment.
func TestEveryTypeIsFoundByItsName(t *testing.T) {
	c := load(t)
	for _, f := range c.Families() {
		for _, want := range f.Types {
			for _, name := range []string{want.Name, strings.TrimPrefix(want.Name, "ecs.")} {
				got, err := c.Type(name)
				if err != nil || got.Name != want.Name {
					t.Errorf("Type(%q) = %q, %v", name, got.Name, err)
				}
			}
			if want.VCPU < 1 || want.MemMiB < 1 {
				t.Errorf("%s has %d vCPU and %d MiB", want.Name, want.VCPU, want.MemMiB)
			}
			for _, s := range want.Devices {
				if s.Thousandths < 1 || s.Thousandths > Whole && s.Thousandths%Whole != 0 {
					t.Errorf("%s has %d thousandths of %s", want.Name, s.Thousandths, s.Part.Name)
				}
				if p, err := c.Part(s.Part.Name); err != nil || p != s.Part {
					t.Errorf("%s: part %s differs from the catalogue's: %v", want.Name, s.Part.Name, err)
				}
			}
		}
	}
}

// The totals that the project brief gives for its three accelerated families, summed from the parts.
func TestTotalsOfTheBrief(t *testing.T) {
	for _, want := range []struct {
		family                       string
		cores, memGiB, gflops, logic int64
	}{
		{"gn4", 6144, 24, 14000, 0},
		{"ga1", 8192, 32, 15080, 0},
		{"f1", 0, 32, 0, 2 * 1150000},
	} {
		typ, err := load(t).Type(want.family)
		if err != nil {
			t.Fatal(err)
		}
		var cores, mem, gflops, logic int64
		for _, s := range typ.Devices {
			n := s.Thousandths / Whole
			cores += n * s.Part.Cores
			mem += n * s.Part.MemMiB
			gflops += n * s.Part.FP32GFLOPS
			logic += n * s.Part.LogicElements
		}
		got := fmt.Sprint(cores, mem, gflops, logic)
		if exp := fmt.Sprint(want.cores, want.memGiB*1024, want.gflops, want.logic); got != exp {
			t.Errorf("%s: cores, MiB, GFLOPS, logic elements = %s, want %s", want.family, got, exp)
		}
	}
}

func TestUnknownNamesCarryTheNearest(t *testing.T) {
	_, err := load(t).Type("gn44")
	var unknown *UnknownError
	if !errors.As(err, &unknown) || unknown.What != "family" || len(unknown.Nearest) == 0 || unknown.Nearest[0] != "gn4" {
		t.Fatalf("Type(gn44) failed with %#v, want an UnknownError that offers gn4 first", err)
	}
}

// FuzzParseFleet: any line gives an error, or a bounded fleet of known types named once each.
func FuzzParseFleet(f *testing.F) {
	for _, line := range []string{
		"gn4=2,ga1=1,f1=1,c4=4", "ecs.gn4-c8g1.4xlarge=3", " c4 ", "gn4=", "=1", ",", "gn4=1,gn4=2",
		"gn4=-1", "gn4=99999999999999999999", "c4=100000,c5=1", "ecs.ecs.c4=1", "gn4-=1", "xn4=\x00",
	} {
		f.Add(line)
	}
	c := load(f)
	f.Fuzz(func(t *testing.T, line string) {
		fleet, err := c.ParseFleet(line)
		if err != nil {
			if fleet != nil || err.Error() == "" {
				t.Fatalf("ParseFleet(%q) = %v with error %q", line, fleet, err)
			}
			return
		}
		seen := map[string]bool{}
		total := 0
		for _, n := range fleet {
			total += n.Nodes
			if n.Nodes < 1 || seen[n.Type.Name] {
				t.Fatalf("ParseFleet(%q): %d x %s", line, n.Nodes, n.Type.Name)
			}
			seen[n.Type.Name] = true
			if again, err := c.Type(n.Type.Name); err != nil || again.Name != n.Type.Name {
				t.Fatalf("ParseFleet(%q) made up the type %s: %v", line, n.Type.Name, err)
			}
		}
		if len(fleet) == 0 || total > maxFleetNodes {
			t.Fatalf("ParseFleet(%q) = %d entries, %d machines", line, len(fleet), total)
		}
	})
}

// FuzzParse: no text makes Parse panic, and what it accepts upholds the invariants.
func FuzzParse(f *testing.F) {
	f.Add("schema: 1\nfamilies: {a: {class: gpu, types: [{size: large, vcpu: 1, mem_gib: 1}]}}")
	f.Add("schema: 1\ndevices: {X: {vendor: v, kind: gpu}}\nfamilies: {a: {class: gpu, types: [{size: a.b, vcpu: 1, mem_gib: 1, devices: {X: 0.5}}]}}")
	f.Add("a: &a [1]\nb: *a")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if err != nil {
			return
		}
		for _, fam := range c.Families() {
			if l := fam.Largest(); l.VCPU < 1 || l.MemMiB < 1 || l.DeviceThousandths() < 0 {
				t.Fatalf("accepted %+v", l)
			}
		}
	})
}

func TestParseMilli(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "2": 2000, "0.125": 125, "0.25": 250, "0.1": 100, "3.77": 3770, "1.05": 1050, "1000000": 1e9,
		"": -1, ".5": -1, "1.": -1, "-1": -1, "+1": -1, "1e3": -1, "0.0005": -1, "1_000": -1, "0x10": -1,
		"1000001": -1, "99999999999999999999": -1, ".inf": -1,
	} {
		got, err := parseMilli(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseMilli(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}
