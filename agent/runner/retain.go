package runner

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Retention says how long directories of ended allocations stay, for their logs. A directory
// goes when any bound is passed, oldest first, but never before MinAge: until then it is the
// proof that the allocation has run, for a server that lags behind and still lists it.
type Retention struct {
	// Count is the most directories kept; 0 means 2,000.
	Count int
	// Bytes is the most they hold together; 0 means 10 GiB.
	Bytes int64
	// MaxAge is how long one stays at most; 0 means 7 days.
	MaxAge time.Duration
	// MinAge is how long one stays at least; 0 means 10 minutes.
	MinAge time.Duration
}

func (k *Retention) setDefaults() {
	if k.Count <= 0 {
		k.Count = 2000
	}
	if k.Bytes <= 0 {
		k.Bytes = 10 << 30
	}
	if k.MaxAge <= 0 {
		k.MaxAge = 7 * 24 * time.Hour
	}
	if k.MinAge <= 0 {
		k.MinAge = 10 * time.Minute
	}
}

// remains is the directory of an ended allocation.
type remains struct {
	id    string
	age   time.Duration
	bytes int64
}

// victims returns the ids to remove, oldest first.
func (k Retention) victims(all []remains) []string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b remains) int {
		return cmp.Or(cmp.Compare(b.age, a.age), cmp.Compare(a.id, b.id))
	})
	count, bytes := len(all), int64(0)
	for _, d := range all {
		bytes += d.bytes
	}
	var out []string
	for _, d := range all {
		over := count > k.Count || bytes > k.Bytes || d.age > k.MaxAge
		if !over || d.age < k.MinAge {
			break // what follows is younger, and does not exceed its age either
		}
		out = append(out, d.id)
		count, bytes = count-1, bytes-d.bytes
	}
	return out
}

// sweep removes old directories, one sweep at a time, beside the loop.
func (r *Runner) sweep() {
	if r.sweeping {
		return
	}
	r.sweeping = true
	live := make(map[string]bool, len(r.allocs))
	for id := range r.allocs {
		live[id] = true
	}
	r.workers.Go(func() {
		found := r.findRemains(live)
		r.inbox.put(func() {
			// Back on the loop, where nothing can come to life in between.
			for _, id := range r.cfg.Retention.victims(found) {
				if _, alive := r.allocs[id]; alive {
					continue
				}
				r.remove(id)
			}
			r.sweeping = false
		})
	})
}

// findRemains lists the directories of what has ended.
func (r *Runner) findRemains(live map[string]bool) []remains {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		r.cfg.Logger.Error("cannot look for old allocations", "error", err)
		return nil
	}
	var out []remains
	for _, e := range entries {
		if live[e.Name()] || !e.IsDir() || !ValidID(e.Name()) {
			continue
		}
		dir := filepath.Join(r.cfg.Dir, e.Name())
		age, ok := ageOf(dir)
		if !ok {
			continue
		}
		out = append(out, remains{id: e.Name(), age: age, bytes: sizeOf(dir)})
	}
	return out
}

// ageOf is the time since the acknowledgement, or since the last change in a directory that
// never came to one.
func ageOf(dir string) (time.Duration, bool) {
	st, err := os.Lstat(filepath.Join(dir, acknowledgedName))
	if err != nil {
		if st, err = os.Lstat(dir); err != nil {
			return 0, false
		}
	}
	return time.Since(st.ModTime()), true
}

// sizeOf adds up the files below a directory.
func sizeOf(dir string) int64 {
	var n int64
	// Files that vanish meanwhile are not counted; nothing else can go wrong that matters here.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}

// removing begins the name of a directory that is being removed; no id begins like this.
const removing = ".removing-"

// remove takes a directory out of sight at once, and then out of the world.
func (r *Runner) remove(id string) {
	gone := filepath.Join(r.cfg.Dir, removing+id)
	if err := os.Rename(filepath.Join(r.cfg.Dir, id), gone); err != nil {
		r.cfg.Logger.Warn("cannot remove an old allocation's directory", "allocation", id, "error", err)
		return
	}
	r.erase(gone)
}

func (r *Runner) erase(dir string) {
	r.workers.Go(func() {
		if err := os.RemoveAll(dir); err != nil {
			r.cfg.Logger.Warn("cannot remove an old allocation's directory", "directory", dir, "error", err)
		}
	})
}
