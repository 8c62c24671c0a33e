// Package rules is the one list of what the deciding packages may not do.
//
// Deciding and applying must give equal results for equal inputs, byte for byte, on every server and
// every platform: a replica that reads its clock, walks a map in map order or rounds a float its own
// way diverges from the others. The analyzers next door enforce the lists below; they hold no list of
// their own.
package rules

import "strings"

// Stateless are the packages whose functions are values in, values out. They share nothing between
// goroutines, so they need neither locks nor channels. A package stands for its whole subtree.
var Stateless = []string{
	"caravan/scheduler/model",
	"caravan/scheduler/resource",
	"caravan/scheduler/family",
	"caravan/scheduler/core",
}

// Replicated are the packages that hold the replicated state. They may publish it to readers on
// other goroutines, and so may use locks and channels, but no outcome may depend on them.
var Replicated = []string{
	"caravan/scheduler/state",
	"caravan/scheduler/fsm",
}

// Ban is a name that may not be used, and what to do instead.
type Ban struct {
	Name string // import path, or import path and object: "time.Now"
	Why  string // completes the sentence "X must not be used here: "
}

// Imports may not be imported by a pure package; each stands for its whole subtree.
var Imports = []Ban{
	{"os", "files and environment are read by the caller and passed in"},
	{"net", "networks belong to server, agent and consensus"},
	{"syscall", "the operating system belongs to the agent"},
	{"math/rand", "derive choices from the seed in the input"},
	{"crypto/rand", "identifiers are made before the command enters the log"},
	{"hash/maphash", "its seed differs in every process: use hash/fnv"},
	{"runtime", "the outcome must not depend on the machine"},
	{"unsafe", "addresses differ in every process"},
	{"log", "return the fact: the caller logs"},
	{"github.com/hashicorp/go-hclog", "return the fact: the caller logs"},
	{"google.golang.org/grpc", "the wire belongs to server and client"},
}

// Objects may not be mentioned by a pure package, called or not.
var Objects = []Ban{
	{"time.Now", "time is an input: take a model.Time"},
	{"time.Since", "time is an input: subtract two model.Time"},
	{"time.Until", "time is an input: subtract two model.Time"},
	{"time.Sleep", "nothing waits here: return when to come back"},
	{"time.After", "timers belong to the leader: return when to come back"},
	{"time.AfterFunc", "timers belong to the leader: return when to come back"},
	{"time.Tick", "timers belong to the leader: return when to come back"},
	{"time.NewTimer", "timers belong to the leader: return when to come back"},
	{"time.NewTicker", "timers belong to the leader: return when to come back"},
	{"time.Timer", "timers belong to the leader: return when to come back"},
	{"time.Ticker", "timers belong to the leader: return when to come back"},
	{"time.Local", "the zone of the machine must not matter: use time.UTC"},
	{"time.LoadLocation", "it reads the machine's zone files: resolve zones before the log"},
	{"context.WithTimeout", "limits are counted in steps, never in wall time"},
	{"context.WithTimeoutCause", "limits are counted in steps, never in wall time"},
	{"context.WithDeadline", "limits are counted in steps, never in wall time"},
	{"context.WithDeadlineCause", "limits are counted in steps, never in wall time"},
	{"context.AfterFunc", "it starts a goroutine"},
	{"fmt.Print", "return the text: the caller prints"},
	{"fmt.Printf", "return the text: the caller prints"},
	{"fmt.Println", "return the text: the caller prints"},
	{"fmt.Scan", "input is passed in"},
	{"fmt.Scanf", "input is passed in"},
	{"fmt.Scanln", "input is passed in"},
	{"sync.Map", "it is walked in no order: use a map and a lock"},
	{"sync.WaitGroup", "it waits for goroutines, and there are none here"},
}

// Synchronisation lists the packages that a stateless package may not use, but for the objects in
// Synchronised.
var Synchronisation = []Ban{
	{"sync", "a stateless package shares nothing (sync.Pool is allowed)"},
	{"sync/atomic", "a stateless package shares nothing"},
}

// Synchronised are the objects of package sync that a stateless package may use: a pool saves
// allocations and decides nothing, as long as what comes out of it is cleared.
var Synchronised = []string{"sync.Pool"}

// UnorderedWalks hand out the elements of a map in map order, like a range over it.
var UnorderedWalks = []Ban{
	{"maps.Keys", "sort what it yields: slices.Sorted(maps.Keys(m))"},
	{"maps.Values", "sort what it yields: slices.Sorted(maps.Values(m))"},
	{"maps.All", "range over slices.Sorted(maps.Keys(m))"},
	{"reflect.Value.MapKeys", "sort the keys"},
	{"reflect.Value.MapRange", "sort the keys"},
}

// OrderingCalls take an unordered walk as an argument and make its order not matter.
var OrderingCalls = []string{
	"slices.Sorted", "slices.SortedFunc", "slices.SortedStableFunc", "maps.Collect", "maps.Insert",
}

// SortingCalls sort the slice that is their first argument.
var SortingCalls = []string{
	"slices.Sort", "slices.SortFunc", "slices.SortStableFunc",
	"sort.Slice", "sort.SliceStable", "sort.Strings", "sort.Ints", "sort.Float64s",
}

// IsPure reports whether the rules hold for the package with this import path.
func IsPure(path string) bool { return IsStateless(path) || within(path, Replicated) }

// IsStateless reports whether the stricter rules hold for the package with this import path.
func IsStateless(path string) bool { return within(path, Stateless) }

// Find returns the ban on a name, or on the subtree it is in.
func Find(bans []Ban, name string) (Ban, bool) {
	for _, b := range bans {
		if name == b.Name || strings.HasPrefix(name, b.Name+"/") {
			return b, true
		}
	}
	return Ban{}, false
}

func within(path string, roots []string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, r+"/") {
			return true
		}
	}
	return false
}
