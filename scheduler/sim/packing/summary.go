package packing

// Summary is the mean of several runs that differ in their seed alone.
type Summary struct {
	Policy          string
	Mix             string
	Runs            int
	Samples         []Sample // at the loads of the runs
	Bound           Percent
	Frag            Percent
	UnallocatedGPUs Milli
	Placed, Refused int64 // per run
	PowerWatts      int64
	Decision        Milli
	Families        []Family
}

// Summarise returns the means of the reports of each policy, in the order of their first report. The
// reports of a policy must be of the same fleet and load.
func Summarise(reports []*Report) []Summary {
	var out []Summary
	at := map[string]int{}
	for _, r := range reports {
		i, known := at[r.Policy]
		if !known {
			i = len(out)
			at[r.Policy] = i
			out = append(out, Summary{
				Policy: r.Policy, Mix: r.Mix, Samples: make([]Sample, len(r.Samples)), Families: make([]Family, len(r.Families)),
			})
		}
		out[i].add(r)
	}
	for i := range out {
		out[i].divide()
	}
	return out
}

func (s *Summary) add(r *Report) {
	s.Runs++
	for i, sample := range r.Samples {
		s.Samples[i].Load = sample.Load
		s.Samples[i].GPUAlloc += sample.GPUAlloc
	}
	for i, f := range r.Families {
		t := &s.Families[i]
		t.Name, t.Nodes = f.Name, f.Nodes
		t.Devices, t.CPU, t.Memory = t.Devices+f.Devices, t.CPU+f.CPU, t.Memory+f.Memory
	}
	s.Bound += r.Bound
	s.Frag += r.Frag
	s.UnallocatedGPUs += r.UnallocatedGPUs
	s.Placed += int64(r.Placed)
	s.Refused += int64(r.Refused)
	s.PowerWatts += r.PowerWatts
	s.Decision += r.Decision
}

func (s *Summary) divide() {
	n := int64(s.Runs)
	for i := range s.Samples {
		s.Samples[i].GPUAlloc /= Percent(n)
	}
	for i := range s.Families {
		f := &s.Families[i]
		f.Devices, f.CPU, f.Memory = f.Devices/Percent(n), f.CPU/Percent(n), f.Memory/Percent(n)
	}
	s.Bound /= Percent(n)
	s.Frag /= Percent(n)
	s.UnallocatedGPUs /= Milli(n)
	s.Placed /= n
	s.Refused /= n
	s.PowerWatts /= n
	s.Decision /= Milli(n)
}
