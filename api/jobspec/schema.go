package jobspec

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/where"
)

// notation is a way of writing a value: how it is read, how an editor checks
// it, and how people call it.
type notation interface {
	// words names what to write, for messages and the reference: "a size, as in 512MiB".
	words() string
	// read puts the meaning of a node into v.data, or rejects v. The node is
	// neither null nor an alias.
	read(r *reader, v *value, n ast.Node)
	// editor gives the JSON Schema of the notation.
	editor() map[string]any
}

// field is one field of an object of the job file.
type field struct {
	name string
	is   notation
	// doc is one or more full sentences.
	doc string
	// unset says what holds when the field is not written; empty for nothing.
	unset    string
	required bool
	// example is YAML that may stand after "name: ".
	example string
	// elsewhere lists what other schedulers call the field, for hints.
	elsewhere []string
}

// object is a mapping with a closed set of fields.
type object struct {
	// id names the object in the JSON Schema, heading in the reference.
	id, heading string
	// title names the object for people, with an article: "a task group".
	title  string
	doc    string
	fields []field
}

// field finds a field by name.
func (o *object) field(name string) (field, bool) {
	for _, f := range o.fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// names lists the names of the object's fields.
func (o *object) names() []string {
	names := make([]string, 0, len(o.fields))
	for _, f := range o.fields {
		names = append(names, f.name)
	}
	return names
}

// jobObject describes the whole file: the job's own fields, and beside them,
// for a job of one group, that group's.
func jobObject() *object {
	return &object{
		id: "job", heading: "Job",
		title:  "a job",
		doc:    "A job file holds one job. A job with one task group may write the group's fields at the top; the group is then named main.",
		fields: append(jobFields(), groupFields()...),
	}
}

// jobFields are the fields of a job, without those of its groups.
func jobFields() []field {
	return append([]field{
		{
			name: "name", is: nameText{}, required: true, example: "ladder",
			doc:       "Name of the job, shown wherever the job is. It need not be unique.",
			elsewhere: []string{"job_name", "job-name", "title", "id"},
		},
		{
			name: "queue", is: nameText{}, unset: "default", example: "render",
			doc:       "Queue the job is charged to.",
			elsewhere: []string{"partition", "namespace", "project", "account", "pool"},
		},
		{
			name: "priority", is: integer{-1000, 1000}, unset: "0", example: "10",
			doc:       "Higher runs earlier, within the queue.",
			elsewhere: []string{"nice", "prio"},
		},
		{
			name: "labels", is: pairs{}, example: "{show: demo, shot: s010}",
			doc:       "Texts for your own filing. Caravan stores and lists them; only apart_from looks at them.",
			elsewhere: []string{"meta", "metadata", "tags", "annotations"},
		},
		{
			name: "sync", is: directory{}, example: ".",
			doc:       "Directory, by its path from the job file, that is packed and sent along: each task begins in a copy of it. What .gitignore and .caravanignore name stays behind.",
			elsewhere: []string{"code", "working_dir", "sources", "upload"},
		},
		{
			name: "groups", is: named{groupObject, "task group", MaxGroups}, example: "{main: {run: echo hello}}",
			doc:       "The task groups, by name. They run side by side unless one depends on another.",
			elsewhere: []string{"group", "tasks", "jobs", "layers", "steps", "task_groups", "stages"},
		},
	}, waitFields()...)
}

func groupObject() *object {
	return &object{
		id: "group", heading: "Task group",
		title:  "a task group",
		doc:    "A task group is a set of alike tasks. It says what one task runs and needs (here, or once for each way under variants) and how many tasks there are.",
		fields: groupFields(),
	}
}

// groupFields are the fields of a task group.
func groupFields() []field {
	return slices.Concat(wayFields(), amountFields(), placeFields(), neighbourFields(), careFields(), attemptFields())
}

// amountFields say how many tasks there are and when they may start.
func amountFields() []field {
	return []field{
		{
			name: "variants", is: named{variantObject, "variant", MaxVariants},
			example: "{cpu: {run: ./encode.sh}, gpu: {run: ./encode-gpu.sh, resources: {devices: [{gpu: 1}]}, speed: 4}}",
			doc:     "Several ways to run a task, by name; the scheduler picks one for each task. Stands instead of run, command, driver, sim, image and what belongs to it, resources and setup.",
		},
		{
			name: "array", is: arrayText{}, unset: "one task with index 0", example: "1-250:2",
			doc:       "Indices of the tasks in Slurm's grammar: 0-17, 1-250:2 (or 1-250x2) for every second, 250-1 downwards, 1,5,10-20 for a list, %20 at the end for at most 20 at once. A task finds its index in CARAVAN_INDEX.",
			elsewhere: []string{"range", "frames", "indices", "indexes"},
		},
		{
			name: "count", is: integer{1, MaxTasks}, unset: "1", example: "8",
			doc:       "Number of tasks, with indices from 0. Stands instead of array.",
			elsewhere: []string{"replicas", "ntasks", "instances", "parallel", "num_nodes", "completions", "nodes"},
		},
		{
			name: "matrix", is: axes{}, example: "{lr: [0.1, 0.01], seed: 0..9}",
			doc:       "Axes of a sweep: one task for each combination of their values, the last axis varying fastest. A task finds its values in CARAVAN_MATRIX_LR and so on, and ${matrix.lr} is replaced in commands, env and outputs. Stands instead of array and count.",
			elsewhere: []string{"sweep", "grid", "parameters", "hyperparameters", "params"},
		},
		{
			name: "chunk", is: chunkSize{}, unset: "1", example: "5",
			doc:       "Number of indices that one attempt works through, one after the other; auto lets it grow while starting up takes more than a tenth of the time. Each index keeps a state of its own. The command finds them in CARAVAN_INDICES, separated by spaces, and the first and last in CARAVAN_FIRST and CARAVAN_LAST.",
			elsewhere: []string{"chunk_size", "per_task", "batch"},
		},
		{
			name: "max_running", is: integer{1, MaxTasks}, unset: "no limit", example: "20",
			doc:       "How many tasks of the group run at once at most.",
			elsewhere: []string{"parallelism", "max_parallel", "max-parallel", "concurrency", "limit"},
		},
		{
			name: "gang", is: gangText{}, unset: "false", example: "true",
			doc:       "All tasks start together and stop together; the group runs only when there is room for every one. With true each task is one rank and finds RANK, WORLD_SIZE, MASTER_ADDR and so on; with node no two tasks share a node, and each starts the ranks of its node itself, as torchrun does.",
			elsewhere: []string{"all_or_nothing"},
		},
		{
			name: "depends_on", is: list{dependency{}, MaxGroups, true}, example: "[split, {group: render, each: true}]",
			doc:       "Groups that must have succeeded before. With each: true a task waits only for those tasks of the other group that hold its own indices (frame by frame). A condition other than succeeded lets it wait for them to have ended, or to have failed.",
			elsewhere: []string{"needs", "dependencies", "dependency", "requires", "wait_for"},
		},
	}
}

// placeFields say where tasks run and in what surroundings.
func placeFields() []field {
	return []field{
		{
			name: "constraints", is: constraintSet{}, example: `{family: [ga1, gn5], zone: "!b"}`,
			doc:       "Conditions on the node, by attribute: family, instance_type, zone, rack, node, or any attribute that nodes advertise. All must hold.",
			elsewhere: []string{"constraint", "node_selector", "nodeselector", "selector", "affinity", "requirements", "family", "zone", "rack", "instance_type", "node"},
		},
		whereField(where.OnNode),
		{
			name: "env", is: environment{}, example: "{OMP_NUM_THREADS: 4}",
			doc:       "Environment variables of the tasks.",
			elsewhere: []string{"environment", "envs", "variables", "vars", "export"},
		},
		{
			name: "workdir", is: pathText{absolute: true}, unset: "a fresh private directory", example: "/data/show",
			doc:       "Working directory of the tasks.",
			elsewhere: []string{"working_directory", "working-directory", "work_dir", "chdir", "cwd", "dir"},
		},
		{
			name: "same_variant", is: boolean{}, unset: "false", example: "true",
			doc: "One variant for all tasks of the group rather than one for each task.",
		},
	}
}

// careFields say when a task has succeeded and what happens when it does not.
func careFields() []field {
	return []field{
		{
			name: "outputs", is: list{mapping{outputObject}, maxOutputs, true}, example: `[{path: "out/*.mp4", to: /data/out/}]`,
			doc:       "Files a task leaves. A task without them has failed; they are moved to their place by rename, so that nobody ever sees half a file.",
			elsewhere: []string{"artifacts", "output", "results"},
		},
		{
			name: "verify", is: shellOrArgv{}, example: "test -s out.mp4",
			doc:       "Shell text, or a list of program and arguments, run after the command has ended with exit code 0. The task succeeds only if it ends with 0 too.",
			elsewhere: []string{"check", "test", "post"},
		},
		{
			name: "time_limit", is: duration{1, maxTimeMillis}, unset: "no limit", example: "2h30m",
			doc:       "A task that runs longer is stopped and counts as failed.",
			elsewhere: []string{"timeout", "time", "walltime", "timelimit", "max_duration", "timeout_minutes", "timeout-minutes", "deadline"},
		},
		{
			name: "retries", is: integer{0, maxRetries}, unset: "0", example: "2",
			doc:       "Extra attempts after the first has failed.",
			elsewhere: []string{"retry", "max_retries", "restart", "restarts", "attempts", "requeue", "backofflimit"},
		},
		{
			name: "kill_grace", is: duration{1, maxGrace}, unset: "10s", example: "30s",
			doc:       "Time between SIGTERM and SIGKILL when a task is stopped.",
			elsewhere: []string{"kill_timeout", "grace", "grace_period", "terminationgraceperiodseconds"},
		},
		{
			name: "once", is: choice{"at_least", "at_most"}, unset: "at_most for a gang, else at_least", example: "at_most",
			doc:       "What happens when a node falls silent. at_most waits until the task there is dead for certain; at_least starts it elsewhere as soon as the node's lease has ended, both may run for some seconds, and only one publishes its outputs.",
			elsewhere: []string{"exactly_once", "semantics"},
		},
		{
			name: "isolation", is: choice{"standard", "strict", "host"}, unset: "what the node's agent says", example: "strict",
			doc:       "How far tasks are shut off. standard: own processes, /tmp, /dev and shared memory, no privileges. strict: the host's files are read-only too, but for the working directory of a task without workdir, /tmp and what the operator shares. host: none of that, where the operator allows it.",
			elsewhere: []string{"sandbox", "security", "privileged", "securitycontext"},
		},
	}
}

// wayFields are what a variant says, or a group that has only one way.
func wayFields() []field {
	return []field{
		{
			name: "run", is: shell{}, example: "ffmpeg -i in.mkv out.mp4",
			doc:       "Shell text, run as /bin/sh -euc TEXT.",
			elsewhere: []string{"script", "cmd", "shell", "exec"},
		},
		{
			name: "command", is: argv{}, example: "[ffmpeg, -i, in.mkv, out.mp4]",
			doc:       "Program and arguments, run without a shell. ${CARAVAN_INDEX} and the like are replaced. Stands instead of run.",
			elsewhere: []string{"args", "argv"},
		},
		{
			name: "driver", is: choice{"exec", "container", "sim"}, unset: "container with an image, else exec", example: "exec",
			doc: "What runs the command: exec starts a process; container starts it in the file system of an image; sim only waits, and needs no command.",
		},
		{
			name: "image", is: imageName{}, example: "docker.io/library/debian:12",
			doc:       "Image of the container that the command runs in: a name with or without registry, tag and digest. Without run and command the image says what to run; with either its own entrypoint is left out.",
			elsewhere: []string{"docker", "docker_image", "container_image", "container-image"},
		},
		{
			name: "entrypoint", is: argv{}, example: "[/usr/bin/tini, --]",
			doc: "Program and arguments that come before the command in the container, instead of nothing.",
		},
		{
			name: "pull", is: choice{"missing", "always", "never"}, unset: "missing, in a container", example: "always",
			doc:       "When to fetch the image: when the node lacks it, before each task, or never.",
			elsewhere: []string{"pull_policy", "imagepullpolicy", "image_pull_policy"},
		},
		{
			name: "mounts", is: list{mapping{mountObject}, maxMounts, true}, example: "[{from: /data/show}, {from: /data/out, to: /out, write: true}]",
			doc:       "What of the node's files the container finds, beside the working directory, which it finds in any case.",
			elsewhere: []string{"volumes", "volume", "binds", "bind", "volumemounts"},
		},
		{
			name: "sim", is: mapping{simObject}, example: "{duration: 30s}",
			doc: "What a task of the sim driver pretends.",
		},
		{
			name: "resources", is: mapping{resourcesObject}, example: "{cpu: 2, memory: 4GiB}",
			doc:       "What one task holds while it runs.",
			elsewhere: []string{"resource", "requests"},
		},
		{
			name: "setup", is: duration{0, maxSetup}, unset: "0s", example: "20s",
			doc: "Time before useful work starts, as for pulling an image or loading a bitstream. The scheduler weighs it against speed.",
		},
	}
}

func variantObject() *object {
	return &object{
		id: "variant", heading: "Variant",
		title: "a variant",
		doc:   "A variant is one way to run a task of its group.",
		fields: append(wayFields(),
			field{
				name: "speed", is: factor{}, unset: "1", example: "4",
				doc: "Speed relative to the group's other variants.",
			},
			field{
				name: "constraints", is: constraintSet{}, example: "{family: gn5}",
				doc: "Conditions on the node for this variant, beside those of its group.",
			},
			whereField(where.OnNode),
			field{
				name: "env", is: environment{}, example: "{CODEC: h264_nvenc}",
				doc: "Environment variables for this variant; they win over those of its group.",
			},
		),
	}
}
