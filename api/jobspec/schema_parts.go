package jobspec

import "caravan/api/where"

// partObjects lists the objects below the job, in the order of the reference.
func partObjects() []*object {
	return []*object{
		groupObject(), variantObject(), resourcesObject(), deviceObject(),
		spreadObject(), apartObject(), dependencyObject(), outputObject(), simObject(), mountObject(),
		exitCodesObject(), avoidObject(), jobDependencyObject(),
	}
}

func resourcesObject() *object {
	return &object{
		id: "resources", heading: "Resources",
		title: "resources",
		doc:   "Resources are what one task holds while it runs.",
		fields: []field{
			{
				name: "cpu", is: cores{}, unset: "1", example: "2",
				doc:       "Processor cores: 2, 0.5 or 500m.",
				elsewhere: []string{"cpus", "cores", "vcpu", "vcpus", "cpus_per_task", "threads"},
			},
			{
				name: "memory", is: size{1, maxMemoryMiB}, unset: "512MiB", example: "4GiB",
				doc:       "Main memory, with its unit. A task that takes more is killed.",
				elsewhere: []string{"mem", "ram", "memory_mb"},
			},
			{
				name: "disk", is: size{0, maxDiskMiB}, unset: "0MiB", example: "10GiB",
				doc:       "Local scratch space, with its unit.",
				elsewhere: []string{"scratch", "tmp", "storage", "ephemeral_disk", "ephemeral-storage"},
			},
			{
				name: "devices", is: list{mapping{deviceObject}, maxRequests, true}, example: "[{gpu: 1, vendor: nvidia}]",
				doc:       "GPUs and FPGAs.",
				elsewhere: []string{"device", "gres", "accelerators", "gpu", "gpus", "fpga"},
			},
		},
	}
}

func deviceObject() *object {
	return &object{
		id: "device", heading: "Device request",
		title: "a device request",
		doc:   "A device request asks for whole devices, or for a part of one, with conditions on the device. It has exactly one of gpu, fpga and kind.",
		fields: append([]field{
			{
				name: "gpu", is: share{}, example: "1",
				doc:       "Number of GPUs, or a fraction of one such as 0.25.",
				elsewhere: []string{"gpus"},
			},
			{
				name: "fpga", is: share{}, example: "1",
				doc:       "Number of FPGAs, or a fraction of one.",
				elsewhere: []string{"fpgas"},
			},
			{
				name: "kind", is: choice{"gpu", "fpga"}, example: "gpu",
				doc:       "Kind of device, when count or thousandths are written out.",
				elsewhere: []string{"type", "name"},
			},
			{
				name: "count", is: integer{1, maxDevices}, unset: "1", example: "2",
				doc:       "Number of devices; goes with kind.",
				elsewhere: []string{"number", "num"},
			},
			{
				name: "thousandths", is: integer{1, 1000}, unset: "1000", example: "250",
				doc:       "Part of one device in thousandths; goes with kind.",
				elsewhere: []string{"share", "fraction", "milli"},
			},
			{
				name: "memory", is: deviceMemory{}, example: "8GiB",
				doc:       `Device memory. A size is held on each device; a comparison such as ">=12GiB" is a condition on the device's whole memory.`,
				unset:     "in proportion to the part of the device",
				elsewhere: []string{"vram", "mem"},
			},
			{
				name: "vendor", is: condition{"vendor"}, example: "nvidia",
				doc: "Vendor of the device: nvidia, amd, xilinx, intel.",
			},
			{
				name: "model", is: condition{"model"}, example: "[M40, P100]",
				doc: "Model of the device; a list means any of them.",
			},
			{
				name: "fp64_tflops", is: condition{"fp64_tflops"}, example: `">=1"`,
				doc: "Double precision speed of the device in TFLOPS.",
			},
			{
				name: "constraints", is: constraintSet{}, example: `{mig: "true"}`,
				doc:       "Conditions on other attributes of the device, by name.",
				elsewhere: []string{"attributes", "constraint"},
			},
			whereField(where.OnDevice),
		}, engineFields()...),
	}
}

// deviceConditions are the fields of a device request that are short for an
// entry of its constraints.
func deviceConditions() []string {
	return []string{"memory", "vendor", "model", "fp64_tflops"}
}

func dependencyObject() *object {
	return &object{
		id: "dependency", heading: "Dependency",
		title: "a dependency",
		doc:   "A dependency is the name of a group, or this mapping.",
		fields: []field{
			{
				name: "group", is: nameText{}, required: true, example: "render",
				doc:       "The group to wait for.",
				elsewhere: []string{"name", "on", "task"},
			},
			{
				name: "each", is: boolean{}, unset: "false", example: "true",
				doc:       "Index by index: a task waits only for the tasks that hold its own indices.",
				elsewhere: []string{"frame_by_frame", "aftercorr"},
			},
			conditionField(),
		},
	}
}

func outputObject() *object {
	return &object{
		id: "output", heading: "Output",
		title: "an output",
		doc:   "An output is a file, or a pattern of files, that a task leaves in its working directory.",
		fields: []field{
			{
				name: "path", is: pathText{}, required: true, example: `"out/*.mp4"`,
				doc:       "File or pattern (* ? [) inside the working directory.",
				elsewhere: []string{"from", "source", "src", "file"},
			},
			{
				name: "to", is: pathText{absolute: true}, required: true, example: "/data/out/",
				doc:       "Absolute destination; a directory when it ends in a slash.",
				elsewhere: []string{"destination", "dest", "target"},
			},
		},
	}
}

func simObject() *object {
	return &object{
		id: "sim", heading: "Simulated task",
		title: "a simulated task",
		doc:   "A simulated task holds its resources and does nothing.",
		fields: []field{
			{
				name: "duration", is: duration{0, maxTimeMillis}, required: true, example: "30s",
				doc:       "How long the task pretends to run.",
				elsewhere: []string{"time", "seconds"},
			},
			{
				name: "exit_code", is: integer{0, 255}, unset: "0", example: "1",
				doc:       "The exit code it ends with.",
				elsewhere: []string{"exit", "code", "rc"},
			},
		},
	}
}
