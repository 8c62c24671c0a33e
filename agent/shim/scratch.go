package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"caravan/agent/driver"
)

// scratchEvery is the shortest pause between two looks at the task's directories, and
// scratchRest how many times as long as a look the pause is at least, so that a task with very
// many files does not keep the shim busy.
const (
	scratchEvery = time.Second
	scratchRest  = 20
)

// watchScratch ends the task when its own directories hold more than they may. It looks now
// and then, so a task gets past its bound by what it writes in between; the file system's
// quotas, which would be exact, need a file system that was made and mounted for them.
func (s *shim) watchScratch() {
	bound := s.spec.Resources.ScratchBytes
	if bound == 0 {
		return
	}
	dirs := []string{filepath.Join(s.spec.Dir, WorkDir), filepath.Join(s.spec.Dir, TmpDir)}
	for wait := scratchEvery; ; {
		t := time.NewTimer(wait)
		select {
		case <-s.control.over:
			t.Stop()
			return
		case <-t.C:
		}
		begin := time.Now()
		used, err := diskUsage(dirs)
		if err != nil {
			s.log.Warn("cannot measure what the task has written", "error", err)
		}
		wait = max(scratchEvery, scratchRest*time.Since(begin))
		if used <= bound {
			continue
		}
		e := ending{
			driver.ReasonScratch,
			fmt.Sprintf("the task's own directories hold %d MiB, it may fill %d MiB (ask for more: resources: {disk: ...})", used>>20, bound>>20),
			syscall.SIGKILL, 0,
		}
		select {
		case s.control.endings <- e:
		case <-s.control.over:
			return
		}
	}
}

// diskUsage adds up the blocks of all that lies below the directories. Files with several
// names count once for each; links are not followed, also when they are put there meanwhile.
func diskUsage(dirs []string) (bytes int64, err error) {
	for _, dir := range dirs {
		root, openErr := os.OpenRoot(dir)
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		walkErr := fs.WalkDir(root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // removed, or made unreadable, meanwhile
			}
			info, err := d.Info()
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += st.Blocks * 512
			}
			return nil
		})
		err = errors.Join(err, walkErr, root.Close())
	}
	return bytes, err
}
