package runner

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"caravan/agent/shim"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// A task with a chunk of indices may say how it gets on, a line at a time, in the
// file that CARAVAN_RESULTS names:
//
//	start 7     it begins with index 7
//	done 7      index 7 is done
//	failed 7    index 7 has failed
//
// Of an index the last word counts. What is done is not run again whatever becomes
// of the rest; what failed, or was begun and not finished, is to blame. A task that
// says nothing is done with all of its indices or with none.

const (
	resultsVariable = "CARAVAN_RESULTS"
	// resultsFile lies in the task's TMPDIR.
	resultsFile = "caravan-results"
	// maxResults bounds what is read of the file, in bytes.
	maxResults = 32 << 20
	// maxRuns bounds the runs of neighbours that are reported.
	maxRuns = 500
)

// word is what was last said of an index.
type word string

const (
	started word = "start"
	done    word = "done"
	failed  word = "failed"
)

// withIndices adds what the task in dir said of its indices to how it ended.
func withIndices(r Result, dir string, a *pb.Assignment) Result {
	// The directory is the task's: no link is followed, and no pipe waited for.
	f, err := os.OpenFile(filepath.Join(dir, shim.TmpDir, resultsFile), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return r // it said nothing
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return r
	}
	r = indexResults(r, f, a.GetAllocation().GetIndices())
	if len(a.GetGroup().GetOutputs()) > 0 || r.Exit.Reason == model.ReasonVerify {
		r.Done = nil // outputs are only published when all has gone well, and verify judges all
	}
	return r
}

// indexResults reads what a task said of its indices. One that ended well but
// says that some have failed, has failed, and the others are done.
func indexResults(r Result, from io.Reader, indices []int64) Result {
	words := readWords(from)
	var ok, bad model.Set
	for i, index := range indices {
		switch said := words[index]; {
		case said == failed, said == started && r.State != model.AllocationSucceeded:
			bad.Add(int64(i))
		case said == done, r.State == model.AllocationSucceeded:
			ok.Add(int64(i))
		}
	}
	if r.State == model.AllocationSucceeded {
		if bad.Empty() {
			return r
		}
		r.State = model.AllocationFailed
		r.Exit.Reason = model.ReasonIndicesFailed
		r.Exit.Message = fmt.Sprintf("the task says that %d of its %d indices failed", bad.Len(), len(indices))
	}
	r.Done, r.Failed = boundedRuns(ok), boundedRuns(bad)
	return r
}

// readWords returns the last word on each index. Lines of another form are passed
// over: the file is the task's.
func readWords(from io.Reader) map[int64]word {
	words := make(map[int64]word)
	lines := bufio.NewReader(io.LimitReader(from, maxResults))
	for {
		line, err := lines.ReadString('\n')
		verb, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		index, bad := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if w := word(verb); bad == nil && (w == started || w == done || w == failed) {
			words[index] = w
		}
		if err != nil {
			return words // at its end, or where it cannot be read
		}
	}
}

// boundedRuns returns a set as pairs; of very scattered ones only the first runs,
// so that a report has a bound.
func boundedRuns(s model.Set) []int64 {
	pairs := s.Pairs()
	return pairs[:min(len(pairs), 2*maxRuns)]
}
