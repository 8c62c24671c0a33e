package jobspec

// attemptFields say in which order tasks start, and what comes of attempts that
// do not end well.
func attemptFields() []field {
	return []field{
		{
			name: "order", is: choice{"forward", "reverse", "interleave", "first-middle-last"}, unset: "forward", example: "first-middle-last",
			doc:       "Which tasks start first: as the array is written, or backwards; interleave starts every tenth first, then the ones after them; first-middle-last starts the first, the last, the middle, then the middles of what lies between.",
			elsewhere: []string{"sequential", "frame_order", "direction"},
		},
		{
			name: "exit_codes", is: mapping{exitCodesObject}, example: "{requeue: [33], fatal: [2]}",
			doc:       "Exit codes that are no ordinary failure. Code 75 always requeues, unless it is fatal.",
			elsewhere: []string{"recover_on_exit_codes", "requeue_exit", "on_exit"},
		},
		{
			name: "retry_backoff", is: duration{1, maxBackoff}, unset: "no wait", example: "30s",
			doc:       "Wait after a task's first failure; it doubles with each further one, up to an hour.",
			elsewhere: []string{"backoff", "retry_delay", "retry_interval"},
		},
		{
			name: "avoid", is: mapping{avoidObject}, example: "{after: 3, for: 1h}",
			doc:       "Keep away from nodes where tasks of the job fail, but never from more than half of all nodes.",
			elsewhere: []string{"errors_avoid_host", "blacklist", "exclude_bad_hosts"},
		},
		{
			name: "no_output_timeout", is: duration{1, maxTimeMillis}, unset: "no limit", example: "30m",
			doc:       "A task that writes nothing to its output for so long is stopped and counts as failed.",
			elsewhere: []string{"llu", "stuck_timeout", "task_progress_change_timeout", "idle_timeout"},
		},
		{
			name: "min_runtime", is: duration{1, maxTimeMillis}, unset: "no limit", example: "2s",
			doc:       "A task that ends with 0 sooner than this counts as failed: it cannot have done its work.",
			elsewhere: []string{"task_min_run_time", "min_time"},
		},
		{
			name: "max_memory", is: size{1, maxMemoryMiB}, unset: "memory stays as asked for", example: "16GiB",
			doc:       "Learn the memory, up to so much: after a task ran out of it the next attempt gets half as much again, uncharged; after five that used much less, later ones get less.",
			elsewhere: []string{"memory_max", "mem_limit"},
		},
		{
			name: "limits", is: limitUses{}, example: "{maya: 1}",
			doc:       "What each allocation holds of limits that an operator has set with `caravan limit set`, such as licences, until it ends.",
			elsewhere: []string{"licenses", "licences", "license", "tickets"},
		},
	}
}

func exitCodesObject() *object {
	codes := list{integer{1, 255}, 256, true}
	return &object{
		id: "exit_codes", heading: "Exit codes",
		title: "exit codes",
		doc:   "Exit codes of the command that are no ordinary failure.",
		fields: []field{
			{name: "requeue", is: codes, example: "[33, 34]", doc: "Run the task again without using up a retry."},
			{name: "fatal", is: codes, example: "[2]", doc: "Never run the task again, whatever retries are left.", elsewhere: []string{"never", "no_retry"}},
		},
	}
}

func avoidObject() *object {
	return &object{
		id: "avoid", heading: "Avoiding nodes",
		title: "avoiding nodes",
		doc:   "When the job keeps away from a node.",
		fields: []field{
			{name: "after", is: integer{1, maxRetries}, required: true, example: "3", doc: "Failures of the job's tasks on one node after which it is avoided.", elsewhere: []string{"errors", "failures"}},
			{name: "for", is: duration{1, maxTimeMillis}, unset: "1h", example: "1h", doc: "How long, and after what time without a failure the earlier ones are forgotten.", elsewhere: []string{"forgive", "errors_forgive_time"}},
		},
	}
}

// waitFields say which other jobs a job waits for.
func waitFields() []field {
	return []field{
		{
			name: "after", is: list{jobDependency{}, maxAfter, true}, example: "[ladder-17, {job: \"18\", condition: ended}]",
			doc: "Jobs that must have succeeded before anything of this one starts, by id or number. One that can never start, because a job ended otherwise, is stopped.",
		},
		{
			name: "singleton", is: boolean{}, unset: "false", example: "true",
			doc: "Wait until every earlier job of the same name and owner has ended.",
		},
	}
}

func jobDependencyObject() *object {
	return &object{
		id: "job_dependency", heading: "Job to wait for",
		title: "a job to wait for",
		doc:   "A job to wait for is its id or number, or this mapping.",
		fields: []field{
			{name: "job", is: jobText{}, required: true, example: "ladder-17", doc: "The job's id, or the number at its end."},
			conditionField(),
		},
	}
}

func conditionField() field {
	return field{
		name: "condition", is: choice{"succeeded", "ended", "failed"}, unset: "succeeded", example: "ended",
		doc:       "What must have become of it: succeeded, ended in whatever way, or failed.",
		elsewhere: []string{"on", "when", "state"},
	}
}
