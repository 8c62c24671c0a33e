package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"caravan/agent/driver"
)

// MaxIDLength bounds an allocation's id, which also is a directory's name.
const MaxIDLength = 128

// ValidID reports whether id can be an allocation's: letters, digits, '.', '_' and '-', not
// beginning with '.', so that it never leads out of the directory it is looked up in.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxIDLength || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// adopt takes over what an earlier agent left: tasks that run or have ended without the
// servers' knowledge. What it cannot read it leaves alone.
func (r *Runner) adopt() error {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return fmt.Errorf("directory of allocations: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), removing) {
			r.erase(filepath.Join(r.cfg.Dir, e.Name()))
		}
		if !e.IsDir() || !ValidID(e.Name()) {
			continue
		}
		if err := r.adoptOne(e.Name()); err != nil {
			r.cfg.Logger.Error("cannot adopt an allocation; its directory is left as it is", "allocation", e.Name(), "error", err)
		}
	}
	r.cfg.Logger.Info("adopted what was on disk", "directory", r.cfg.Dir, "allocations", len(r.allocs))
	return nil
}

func (r *Runner) adoptOne(id string) error {
	rec, err := readRecord(filepath.Join(r.cfg.Dir, id))
	if err != nil || rec.assignment == nil || rec.acknowledged {
		return err
	}
	a := r.add(id, rec.assignment)
	if rec.result != nil {
		a.state.Phase, a.state.Result = Ended, *rec.result
		close(a.ended)
		r.perform(a, Report)
		return nil
	}
	task, err := r.reattach(a)
	switch {
	case errors.Is(err, driver.ErrNotFound):
		// The agent died before the driver began; if the servers still want it, it starts.
		r.waiting = append(r.waiting, a)
		return nil
	case err != nil:
		r.forget(a)
		return err
	}
	if shares := rec.assignment.Allocation.Devices; r.cfg.Devices != nil && r.handsOut(a) {
		r.cfg.Devices.Adopt(id, rec.assignment.Owner, shares)
	}
	if r.cfg.CPUs != nil {
		r.cfg.CPUs.Adopt(id, r.demandOf(a), readHandout(a.dir).Pin)
	}
	r.reopenSteps(a)
	a.state.Phase = Launching
	r.attach(a, task)
	return nil
}
