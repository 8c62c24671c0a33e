package house

// Room is a row of the import table: what one package, or one subtree, may import.
//
// Paths are relative to the module. "a/b" is one package, "a/b/..." is the package and everything
// below it, "..." is everything. Tests of a package are not held to its row: they may look further
// than the code they test, though never into cmd.
type Room struct {
	Path  string
	Ours  []string // packages of this module
	Third []string // import paths of other modules, each with its subtree; "..." for any
	Why   string
}

// Reserved is a foreign import path that only a few rooms may use: what we may want to replace stays
// behind one wall.
type Reserved struct {
	Import string // with its subtree
	Rooms  []string
	Why    string
}

var (
	everything = []string{"..."}
	protobuf   = "google.golang.org/protobuf"
)

// Table returns the import table. The most specific row that covers a package is its own; a package
// that no row covers fails the test, so that every new room is a decision.
func Table() []Room {
	rooms := append(apiRooms(), pureRooms()...)
	rooms = append(rooms, serverRooms()...)
	return append(rooms, outerRooms()...)
}

func apiRooms() []Room {
	return []Room{
		{
			Path: "api/...", Ours: []string{"api/..."}, Third: everything,
			Why: "the contract stands alone: whoever speaks to us may use it without the rest",
		},
	}
}

func pureRooms() []Room {
	return []Room{
		{
			Path: "scheduler/model",
			Why:  "the nouns: everything stands on them, they stand on nothing",
		},
		{
			Path: "scheduler/resource", Ours: []string{"scheduler/model"},
			Why: "amounts and the classes made of them",
		},
		{
			Path: "scheduler/family", Ours: []string{"scheduler/model", "scheduler/resource"},
			Third: []string{"github.com/goccy/go-yaml"},
			Why:   "the catalogue is a YAML file",
		},
		{
			Path: "scheduler/core/...",
			Ours: []string{"scheduler/core/...", "scheduler/model", "scheduler/resource", "scheduler/family"},
			Why:  "deciding is a function of values: it knows no state, no wire and no library",
		},
		{
			Path: "scheduler/state/...",
			Ours: []string{"scheduler/state/...", "scheduler/model", "scheduler/resource"}, Third: []string{"github.com/tidwall/btree"},
			Why: "tables of nouns on a copy-on-write tree",
		},
		{
			Path:  "scheduler/fsm",
			Ours:  []string{"scheduler/feed", "scheduler/model", "scheduler/state", "scheduler/wire", "api/..."},
			Third: []string{protobuf},
			Why:   "decode, apply, answer: nothing else is replicated",
		},
	}
}

func serverRooms() []Room {
	return []Room{
		{
			Path: "scheduler/wire", Ours: []string{"api/...", "scheduler/model", "scheduler/resource"},
			Third: []string{protobuf, "google.golang.org/grpc/codes", "google.golang.org/grpc/status"},
			Why:   "the one place where wire messages and nouns become each other",
		},
		{
			Path: "scheduler/feed",
			Why:  "it wakes whoever waits and carries nothing: it need not know what",
		},
		{
			Path: "scheduler/blob", Ours: []string{"scheduler/model"},
			Why: "files under their digest, on servers and agents alike",
		},
		{
			Path: "scheduler/consensus", Third: everything,
			Why: "a raft node for any state machine: it does not know ours",
		},
		{
			Path: "scheduler/consensus/memnet", Third: everything,
			Ours: []string{"scheduler/consensus"},
			Why:  "a network in memory for raft nodes, known to tests and simulation alone",
		},
		{
			Path: "scheduler/metrics", Third: everything,
			Why: "names and registries: whoever counts imports it, it imports no one",
		},
		{
			Path: "scheduler/auth", Ours: []string{"api/...", "scheduler/model", "scheduler/metrics"}, Third: everything,
			Why: "who may do what, decided without looking at the state",
		},
		{
			Path: "scheduler/accounting", Third: everything,
			Ours: []string{"scheduler/family", "scheduler/metrics", "scheduler/model", "scheduler/resource", "scheduler/state"},
			Why:  "fed from the change feed, outside of the replicated part",
		},
		{
			Path: "scheduler/truth", Ours: []string{"api/where", "scheduler/model"},
			Why: "the one place in the scheduler that knows the language of expressions: the rest knows what is true",
		},
		{
			Path: "scheduler/leader", Third: everything,
			Ours: []string{
				"api/...", "scheduler/consensus", "scheduler/core/...", "scheduler/family", "scheduler/feed",
				"scheduler/fsm", "scheduler/metrics", "scheduler/model", "scheduler/resource", "scheduler/state/...", "scheduler/wire",
			},
			Why: "it carries decisions from core to the log, and owns nothing that state cannot rebuild",
		},
		{
			Path: "scheduler/server/...", Third: everything,
			Ours: []string{
				"scheduler/server/...", "api/...", "scheduler/auth", "scheduler/blob", "scheduler/consensus", "scheduler/core/...",
				"scheduler/family", "scheduler/feed", "scheduler/fsm", "scheduler/leader", "scheduler/metrics", "scheduler/model",
				"scheduler/state/...", "scheduler/truth", "scheduler/wire",
			},
			Why: "the front: it reads state and proposes, and never writes",
		},
		{
			Path: "scheduler/sim/...", Third: everything,
			Ours: []string{
				"scheduler/sim/...", "scheduler/core/...", "scheduler/family", "scheduler/model",
				"scheduler/resource", "scheduler/state/...",
			},
			Why: "the real core and state under a simulated fleet, with no server around",
		},
	}
}

func outerRooms() []Room {
	return []Room{
		{
			Path: "agent/...", Third: everything,
			Ours: []string{
				"agent/...", "api/...", "scheduler/blob", "scheduler/family", "scheduler/model", "scheduler/resource", "scheduler/wire", "plugins/sdk/...",
			},
			Why: "an agent obeys the contract: it knows nothing of how servers decide or keep state; it looks its host up in the catalogue",
		},
		{
			Path: "plugins/sdk/...", Ours: []string{"plugins/sdk/..."}, Third: everything,
			Why: "what plugin authors import must not drag the scheduler along",
		},
		{
			Path: "plugins/...", Ours: []string{"plugins/..."}, Third: everything,
			Why: "a plugin is written against the sdk alone, as a stranger's would be",
		},
		{
			Path: "plugins/device/sim", Ours: []string{"plugins/...", "scheduler/family"}, Third: everything,
			Why: "it pretends the machines of the catalogue",
		},
		{
			Path: "cmd/...", Ours: everything, Third: everything,
			Why: "wiring: the only place that may import the world",
		},
		{
			Path: "e2e/...", Ours: everything, Third: everything,
			Why: "it tests the whole",
		},
		{
			Path: "internal/house",
			Why:  "it looks at the tree from outside",
		},
	}
}

// Reservations returns the foreign packages that only a few rooms may import, tests included.
func Reservations() []Reserved {
	nvidia := []string{"plugins/device/nvidia/...", "cmd/caravan-nvidia/..."}
	consensus := []string{"scheduler/consensus/..."}
	return []Reserved{
		{"C", nvidia, "one binary uses cgo, so that all others are static"},
		{"github.com/NVIDIA/go-nvml", nvidia, "it needs cgo, and a driver crash may only take its own process along"},
		{"github.com/containerd", []string{"agent/driver/container/containerd"}, "clients of runtimes are large: they are linked into caravan-container alone"},
		{"cel.dev/cel-go", []string{"api/where"}, "the language of expressions is wrapped in one package"},
		{"github.com/hashicorp/go-plugin", []string{"plugins/sdk/..."}, "the plugin protocol is wrapped in the sdk"},
		{"tags.cncf.io", []string{"plugins/sdk/..."}, "edits are checked in one place"},
		{"github.com/hashicorp/raft", consensus, "raft is wrapped in one package"},
		{"github.com/hashicorp/raft-wal", consensus, "the log store is wrapped in one package"},
		{"github.com/tidwall/btree", []string{"scheduler/state/..."}, "the tree is wrapped in one package"},
		{"github.com/spf13/cobra", []string{"cmd/..."}, "the command line is wiring"},
		{"charm.land", []string{"cmd/..."}, "no daemon package draws on a terminal"},
	}
}
