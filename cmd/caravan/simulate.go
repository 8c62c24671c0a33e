package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"caravan/cmd/caravan/internal/output"
	"caravan/scheduler/family"
	"caravan/scheduler/sim/generate"
	"caravan/scheduler/sim/packing"
	"caravan/scheduler/sim/policy"
	"caravan/scheduler/sim/trace"
)

func newSimulateCmd(s *session) *cobra.Command {
	return newGroupCmd("simulate", "Try policies on a simulated fleet, without a server", newSimulatePackCmd(s))
}

// packFlags describe a packing experiment as text.
type packFlags struct {
	nodes, pods string
	mix         string
	size        int
	families    string
	count       int
	policies    []string
	seed        uint64
	seeds       int
	load        string
	knownMix    bool
	tuning      policy.Tuning
	writeTo     string

	cpuOnly, fraction, multi, constrained int64
}

// maxSeeds bounds the runs of one policy.
const maxSeeds = 1000

func newSimulatePackCmd(s *session) *cobra.Command {
	var f packFlags
	cmd := &cobra.Command{
		Use:   "pack",
		Short: "Measure how full each policy packs a fleet",
		Long: `Offers a stream of requests to an empty fleet, one at a time, and reports how
much of its devices is allocated. A refused request is not tried again, nothing
ends and nothing moves. The fleet and the requests are generated, or read from
files in the form of Alibaba's openb trace. --cpu-only, --fraction, --multi and
--constrained change the make-up of either.`,
		Example: `  caravan simulate pack --mix default --seeds 10
  caravan simulate pack --policy bestfit,caravan --families gn4=100,ga1=50,f1=20,c4=100
  caravan simulate pack --nodes openb_node_list_gpu_node.csv --pods openb_pod_list_default.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reports, err := f.run(cmd)
			if err != nil || f.writeTo != "" {
				return err
			}
			return showPacking(s, reports)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.nodes, "nodes", "", "node list (CSV: sn, cpu_milli, memory_mib, gpu, model)")
	flags.StringVar(&f.pods, "pods", "", "pod list (CSV: name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec)")
	flags.StringVar(&f.mix, "mix", "default", "generated requests: "+strings.Join(generate.MixNames(), ", "))
	flags.IntVar(&f.size, "size", generate.OpenbNodes, "nodes of the generated fleet")
	flags.StringVar(&f.families, "families", "", "fleet of catalogue machines, e.g. gn4=100,ga1=50,f1=20; brings its own mix")
	flags.IntVar(&f.count, "count", 0, "length of the generated request list (default in proportion to the fleet)")
	flags.Int64Var(&f.cpuOnly, "cpu-only", -1, "requests without device, in thousandths (default as in the mix or list)")
	flags.Int64Var(&f.fraction, "fraction", -1, "requests for a part of a device, in thousandths (default as in the mix or list)")
	flags.Int64Var(&f.multi, "multi", -1, "requests for several devices, in thousandths (default as in the mix or list)")
	flags.Int64Var(&f.constrained, "constrained", -1, "device requests that name models, in thousandths of them (default as in the mix or list)")
	flags.StringSliceVar(&f.policies, "policy", policy.Names(), "policies to compare")
	flags.Uint64Var(&f.seed, "seed", 1, "first seed, of the list and of the order")
	flags.IntVar(&f.seeds, "seeds", 1, "number of seeds to run, one after the other")
	flags.StringVar(&f.load, "load", "1.3", "end when this much of the fleet's devices was requested")
	flags.BoolVar(&f.knownMix, "known-mix", false, "tell the caravan policy the true mix, as fgd is told, instead of letting it learn")
	flags.StringVar(&f.writeTo, "write", "", "only write the generated lists, to PREFIX-nodes.csv and PREFIX-pods.csv")
	p := &f.tuning.Prices
	flags.IntVar(&f.tuning.Sequences, "sequences", 16, "caravan: request sequences of each sort")
	flags.IntVar(&f.tuning.Length, "length", 60, "caravan: requests of a sequence")
	flags.Int64Var(&f.tuning.Quantum, "quantum", 30, "caravan: thousandths of a device that do not count")
	flags.Int64Var(&p.BetaPermille, "price", 1000, "caravan: price of room that is fully wanted, in thousandths; -1 for none")
	flags.Int64Var(&p.ZPermille, "reserve", 2000, "caravan: reserve, in thousandths of a standard deviation; -1 for none")
	flags.IntVar(&p.WholeHalfPowers, "whole-power", 6, "caravan: twice the exponent of prices of whole devices")
	flags.IntVar(&p.ModelHalfPowers, "model-power", 3, "caravan: twice the exponent of prices of models")
	must(cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions(policy.Names(), cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("mix", cobra.FixedCompletions(generate.MixNames(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// run makes the lists of every seed and runs every policy on them.
func (f *packFlags) run(cmd *cobra.Command) ([]*packing.Report, error) {
	load, err := f.loadPermille()
	if err != nil {
		return nil, err
	}
	switch {
	case f.seeds < 1 || f.seeds > maxSeeds:
		return nil, usagef("--seeds must be from 1 to %d", maxSeeds)
	case (f.nodes == "") != (f.pods == ""):
		return nil, &usageError{"--nodes and --pods go together", "give both files, or neither to generate the lists"}
	case f.nodes != "" && f.families != "":
		return nil, usagef("--families generates the lists that --nodes and --pods read: give one of them")
	}
	// Decision time is the CPU time of this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var reports []*packing.Report
	for seed := f.seed; seed < f.seed+uint64(f.seeds); seed++ {
		nodes, pods, err := f.lists(seed)
		if err != nil {
			return nil, err
		}
		if f.writeTo != "" {
			return nil, f.write(nodes, pods)
		}
		cfg := packing.Config{
			Nodes: nodes, Pods: pods, Seed: seed, LoadPermille: load,
			MixKnown: f.knownMix, Potential: f.tuning, CPUTime: packing.ThreadCPUTime,
		}
		if reports, err = f.compare(cmd.Context(), cfg, reports); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// compare runs every policy on the lists of one seed.
func (f *packFlags) compare(ctx context.Context, cfg packing.Config, reports []*packing.Report) ([]*packing.Report, error) {
	var err error
	if cfg.Bound, err = packing.Bound(cfg); err != nil {
		return nil, err
	}
	for _, cfg.Policy = range f.policies {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		report, err := packing.Run(cfg)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// loadPermille reads --load digit by digit.
func (f *packFlags) loadPermille() (int64, error) {
	whole, decimals, _ := strings.Cut(f.load, ".")
	n, err := strconv.ParseInt(whole+(decimals + "000")[:3], 10, 64)
	if err != nil || len(decimals) > 3 || n < 1 || n > packing.MaxLoadPermille {
		return 0, usagef("--load %s: must be from 0.001 to %d with three decimals at most", f.load, packing.MaxLoadPermille/1000)
	}
	return n, nil
}

// lists reads or generates the nodes and pods of one seed.
func (f *packFlags) lists(seed uint64) ([]trace.Node, []trace.Pod, error) {
	switch {
	case f.nodes != "":
		nodes, err := readList(f.nodes, trace.ReadNodes)
		if err != nil {
			return nil, nil, err
		}
		pods, err := readList(f.pods, trace.ReadPods)
		if err != nil {
			return nil, nil, err
		}
		pods, err = generate.Mutate(nodes, pods, generate.Shares{
			CPUOnlyPermille: f.cpuOnly, FractionPermille: f.fraction, MultiPermille: f.multi, ConstrainedPermille: f.constrained,
		}, seed)
		return nodes, pods, err
	case f.families != "":
		catalogue, err := family.Load()
		if err != nil {
			return nil, nil, err
		}
		nodes, err := generate.FamilyFleet(catalogue, f.families)
		if err != nil {
			return nil, nil, err
		}
		pods, err := generate.FamilyPods(catalogue, nodes, f.length(5*len(nodes)), seed)
		return nodes, pods, err
	}
	mix, err := f.generated()
	if err != nil {
		return nil, nil, err
	}
	nodes, err := generate.OpenbFleet(f.size)
	if err != nil {
		return nil, nil, err
	}
	pods, err := generate.OpenbPods(mix, seed)
	return nodes, pods, err
}

func (f *packFlags) length(otherwise int) int {
	if f.count != 0 {
		return f.count
	}
	return max(1, otherwise)
}

// generated returns the named mix with the shares that were given.
func (f *packFlags) generated() (generate.Mix, error) {
	mix, err := generate.NamedMix(f.mix)
	if err != nil {
		return mix, err
	}
	mix.Pods = f.length(mix.Pods * f.size / generate.OpenbNodes)
	for _, share := range []struct {
		given int64
		to    *int64
	}{
		{f.cpuOnly, &mix.CPUOnlyPermille},
		{f.fraction, &mix.FractionPermille},
		{f.multi, &mix.MultiPermille},
		{f.constrained, &mix.ConstrainedPermille},
	} {
		if share.given != -1 {
			*share.to = share.given
		}
	}
	return mix, nil
}

func readList[T any](name string, read func(string, io.Reader) ([]T, error)) ([]T, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(name, file)
}

// write saves the generated lists.
func (f *packFlags) write(nodes []trace.Node, pods []trace.Pod) error {
	if err := writeList(f.writeTo+"-nodes.csv", nodes, trace.WriteNodes); err != nil {
		return err
	}
	return writeList(f.writeTo+"-pods.csv", pods, trace.WritePods)
}

func writeList[T any](name string, list []T, write func(io.Writer, []T) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file, list); err != nil {
		_ = file.Close() // the first error says more
		return err
	}
	return file.Close()
}

// showPacking writes every report for programs, and the means over seeds for people.
func showPacking(s *session, reports []*packing.Report) error {
	switch s.format {
	case output.JSON, output.YAML:
		raw, err := json.MarshalIndent(reports, "", "  ")
		if err != nil {
			return err
		}
		if s.format == output.YAML {
			if raw, err = yaml.JSONToYAML(raw); err != nil {
				return err
			}
			_, err = s.out.Write(raw)
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", raw)
		return err
	}
	summaries := packing.Summarise(reports)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	header := "POLICY\tMIX"
	for _, sample := range summaries[0].Samples {
		header += "\tALLOC@" + strings.TrimSuffix(sample.Load.String(), "00")
	}
	fmt.Fprintln(w, header+"\tBOUND\tFRAG\tIDLE\tPLACED\tREFUSED\tWATTS\tUS/PLACEMENT")
	for _, sum := range summaries {
		fmt.Fprintf(w, "%s\t%s", sum.Policy, sum.Mix)
		for _, sample := range sum.Samples {
			fmt.Fprintf(w, "\t%s%%", sample.GPUAlloc)
		}
		fmt.Fprintf(w, "\t%s%%\t%s%%\t%s\t%d\t%d\t%d\t%s\n", sum.Bound, sum.Frag, sum.UnallocatedGPUs, sum.Placed, sum.Refused, sum.PowerWatts, sum.Decision)
	}
	if s.format == output.Wide {
		fmt.Fprintln(w, "\nPOLICY\tFAMILY\tNODES\tDEVICES\tCPU\tMEMORY")
		for _, sum := range summaries {
			for _, f := range sum.Families {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s%%\t%s%%\t%s%%\n", sum.Policy, f.Name, f.Nodes, f.Devices, f.CPU, f.Memory)
			}
		}
	}
	return w.Flush()
}
