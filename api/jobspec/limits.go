package jobspec

// Bounds on what a job file may hold. Beyond each one is an error at its place.
const (
	// MaxFileBytes is the size of the largest job file.
	MaxFileBytes = 1 << 20
	// MaxTasks bounds the indices of one job, over all its groups.
	MaxTasks = 1_000_000
	// MaxIndex is the largest index of an array.
	MaxIndex = 1 << 40
	// MaxGroups bounds the task groups of a job.
	MaxGroups = 64
	// MaxVariants bounds the variants of a task group.
	MaxVariants = 16
	// MaxGang bounds the tasks of a group with gang: true.
	MaxGang = 100_000
	// MaxProblems bounds the problems of one report; the rest is counted.
	MaxProblems = 50

	maxCPUMilli   = 4096 * 1000
	maxMemoryMiB  = 64 << 20 // 64 TiB
	maxDiskMiB    = 1 << 40
	maxDevices    = 64
	maxRequests   = 16
	maxRanges     = 1000
	maxNameLen    = 48
	maxTextLen    = 256 << 10
	maxArgs       = 4096
	maxPairs      = 256
	maxOutputs    = 64
	maxValues     = 64
	maxTimeMillis = 366 * dayMillis
	maxSetup      = 7 * dayMillis
	maxGrace      = dayMillis
	maxRetries    = 1000
	maxRules      = 16
	maxSessions   = 1000
	maxEngines    = 1_000_000 // thousandths
	maxImageName  = 256
	maxBackoff    = 3600 * 1000
	maxAfter      = 64
	maxLimits     = 16
	maxLimitCount = 1_000_000_000
	dayMillis     = 24 * 3600 * 1000
	maxAliases    = 100
	maxTokens     = 50_000 // the YAML parser's time grows with the square of a mapping's keys
	maxFlowDepth  = 32
)
