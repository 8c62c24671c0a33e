package jobspec

import "caravan/api/where"

// domains are the parts of a fleet that rules about neighbours are over.
func domains() choice { return choice{"node", "rack", "zone"} }

func whereField(s where.Subject) field {
	f := field{
		name: "where", is: expression{s}, example: `node.cpu >= 32 && node.family in ["gn5", "ga1"]`,
		doc:       "A condition on the node that has to be true, beside the constraints; see Expressions.",
		elsewhere: []string{"when", "if", "expr", "expression", "filter"},
	}
	if s == where.OnDevice {
		f.example = `device.fp64_tflops >= 1.0 || device.model == "P100"`
		f.doc = "A condition on the device that has to be true, beside the others; see Expressions."
	}
	return f
}

// neighbourFields say who may run beside a group's tasks.
func neighbourFields() []field {
	return []field{
		{
			name: "exclusive", is: boolean{}, unset: "false", example: "true",
			doc:       "Each task has its node to itself: it goes where nothing runs, and nothing joins it. Its limits are still what resources asks for.",
			elsewhere: []string{"whole_node", "oversubscribe"},
		},
		{
			name: "spread", is: list{spreadRule(), maxRules, true}, example: "{over: zone, max_skew: 1}",
			doc:       "How evenly the group's running tasks lie over nodes, racks or zones. A task that would break the rule waits.",
			elsewhere: []string{"topology_spread", "topologyspreadconstraints", "distinct_property"},
		},
		{
			name: "apart_from", is: list{apartRule(), maxRules, true}, example: `[self, {label: tier=db, over: rack}]`,
			doc:       "Tasks that must not share a node (or rack, or zone) with the group's: its own, those of a job, or those of jobs with a label. The rule binds both sides: those it names keep away from the group's tasks as well.",
			elsewhere: []string{"anti_affinity", "anti-affinity", "antiaffinity", "podantiaffinity", "distinct_hosts"},
		},
	}
}

func spreadRule() ruleText {
	return ruleText{of: domains(), rule: spreadObject, write: "node, rack or zone, or {over: zone, max_skew: 1}"}
}

func apartRule() ruleText {
	return ruleText{of: choice{"self"}, rule: apartObject, write: "self, or a mapping, as in {job: db, over: rack}"}
}

func spreadObject() *object {
	return &object{
		id: "spread", heading: "Spread", title: "a spread",
		doc: "A spread is node, rack or zone alone, or this mapping.",
		fields: []field{
			{
				name: "over", is: domains(), required: true, example: "zone",
				doc:       "What to spread over. Racks of one name in two zones are two; a node that does not say where it stands takes no task of the group.",
				elsewhere: []string{"topology_key", "topologykey", "across", "attribute"},
			},
			{
				name: "max_skew", is: integer{1, MaxTasks}, unset: "1", example: "1",
				doc:       "How many more of the group's tasks one domain may hold than any other that could serve the group, full or not.",
				elsewhere: []string{"maxskew", "skew"},
			},
		},
	}
}

func apartObject() *object {
	return &object{
		id: "apart", heading: "Apart from", title: "a rule to keep apart",
		doc: "An entry of apart_from is self alone, or this mapping with exactly one of self, job and label.",
		fields: []field{
			{
				name: "self", is: boolean{}, example: "true",
				doc: "The group's own other tasks.",
			},
			{
				name: "job", is: nameText{}, example: "db",
				doc: "The tasks of jobs with this name, or of the job with this id.",
			},
			{
				name: "label", is: labelText{}, example: "tier=db",
				doc: "The tasks of jobs that carry this label.",
			},
			{
				name: "over", is: domains(), unset: "node", example: "rack",
				doc:       "What must not be shared. A node that does not say its rack or zone takes none of the tasks that a rule over racks or zones is about.",
				elsewhere: []string{"topology_key", "topologykey", "scope"},
			},
		},
	}
}

// sharing is the field, and the attribute of a device, that says how it is shared.
const sharing = "sharing"

// exclusively is the way that asks for no attribute: whole devices are nobody else's anywhere.
const exclusively = "exclusive"

func ways() choice { return choice{"mps", "time_slice", "mig", exclusively} }

// engineFields ask for what a device has beside its share and memory.
func engineFields() []field {
	return []field{
		{
			name: "image", is: deviceImage{}, example: "h264-encoder",
			doc:       "For an fpga: the image that it has to run. A device that has it loaded comes first, then one that takes images and, if its host lists those it knows, knows this one; there the agent loads it before the task starts.",
			elsewhere: []string{"bitstream", "afu", "xclbin", "fpga.image"},
		},
		{
			name: "encoder_sessions", is: integer{1, maxSessions}, unset: "0", example: "2",
			doc:       "For a gpu: sessions of its video encoder, one for each rendition.",
			elsewhere: []string{"nvenc", "sessions", "nvenc_sessions", "encoders"},
		},
		{
			name: "encode", is: engineShare{}, unset: "0", example: "0.25",
			doc:       "For a gpu: part of its video encoding capacity, 1 being what one encoder does.",
			elsewhere: []string{"milli_encode", "encoding"},
		},
		{
			name: "decode", is: engineShare{}, unset: "0", example: "0.5",
			doc:       "For a gpu: part of its video decoding capacity, 1 being what one decoder does.",
			elsewhere: []string{"milli_decode", "decoding", "nvdec"},
		},
		{
			name: sharing, is: ways(), example: "mps",
			doc:       "For a gpu: the only way in which a part of one may be had. mps: an MPS daemon bounds threads and memory; time_slice: tasks take turns, and nothing is enforced; mig: an instance of its own. exclusive: no part, but whole devices. What is enforced is shown by status and explain.",
			unset:     "any way",
			elsewhere: []string{"share_mode", "sharing_mode", "sharing_strategy", "shared"},
		},
	}
}
