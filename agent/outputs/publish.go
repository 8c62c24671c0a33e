package outputs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"caravan/agent/driver"
)

// Request is what to publish.
type Request struct {
	// ID names temporary files beside the destinations; the allocation's id.
	ID string
	// WorkDir holds the files.
	WorkDir string
	// Staging is the allocation's out/ directory, which keeps the manifest.
	Staging string
	// Base is where relative destinations begin; "" refuses them.
	Base string
	// Roots are the directories below which destinations must lie; empty allows any.
	Roots []string
	// Move allows files to be taken out of the work directory instead of copied. Set it when
	// nobody needs the work directory afterwards.
	Move bool
	// Allowed is asked before each file is put in its place; once it says no, Publish stops
	// with ErrNotAllowed, and may be called again. nil means always.
	Allowed func() bool
	// DirOwner gives what is published to the owner of its directory. Set it when the user who
	// made it is somebody else tomorrow.
	DirOwner bool
	// Outputs are the declared outputs.
	Outputs []driver.Output
}

// ErrNotAllowed means that Request.Allowed said no.
var ErrNotAllowed = errors.New("publishing is not allowed any more")

// Report says what Publish did over all its calls.
type Report struct {
	Files []File
	// Again is set when everything had been published by an earlier call.
	Again bool
}

// manifest is the plan that a call after a crash continues: out/manifest.json.
type manifest struct {
	Files []File `json:"files"`
	Done  bool   `json:"done"`
}

const (
	manifestName = "manifest.json"
	journalName  = "published.journal"
)

// Publish puts every output with a destination in its place. It may be called any number of
// times, also after a crash in the middle, and must not be called by two processes at once.
// When ctx ends it stops between two files.
func Publish(ctx context.Context, req Request) (Report, error) {
	m, err := plan(req)
	if err != nil {
		return Report{}, err
	}
	if m.Done {
		return Report{Files: m.Files, Again: true}, nil
	}
	p := publisher{req: req, dirs: make(map[string]*os.File)}
	if err := p.run(ctx, m.Files); err != nil {
		return Report{}, errors.Join(err, p.closeDirs())
	}
	m.Done = true
	if err := writeManifest(req.Staging, m); err != nil {
		return Report{}, err
	}
	return Report{Files: m.Files}, nil
}

// plan returns the manifest of an earlier call, or makes it: once it is on disk, the list of
// files does not change any more.
func plan(req Request) (manifest, error) {
	raw, err := os.ReadFile(filepath.Join(req.Staging, manifestName))
	if err == nil {
		var m manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			return manifest{}, fmt.Errorf("output manifest: %w", err)
		}
		return m, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return manifest{}, fmt.Errorf("output manifest: %w", err)
	}
	files, err := Resolve(req.WorkDir, req.Base, req.Outputs)
	if err != nil {
		return manifest{}, err
	}
	m := manifest{Files: files}
	return m, writeManifest(req.Staging, m)
}

func writeManifest(staging string, m manifest) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tmp := filepath.Join(staging, manifestName+".tmp")
	if err := writeSynced(tmp, raw); err != nil {
		return fmt.Errorf("output manifest: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(staging, manifestName)); err != nil {
		return fmt.Errorf("output manifest: %w", err)
	}
	return syncDir(staging)
}

type publisher struct {
	req  Request
	root *os.Root
	dirs map[string]*os.File // destination directories, open
}

func (p *publisher) run(ctx context.Context, files []File) error {
	done, err := readJournal(p.req.Staging)
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(filepath.Join(p.req.Staging, journalName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("output journal: %w", err)
	}
	defer journal.Close()
	if p.root, err = os.OpenRoot(p.req.WorkDir); err != nil {
		return fmt.Errorf("work directory: %w", err)
	}
	defer p.root.Close()
	for i, f := range files {
		if f.Dest == "" || done[i] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("publish outputs: %d of %d files done: %w", i, len(files), err)
		}
		if err := p.publish(i, f); err != nil {
			return fmt.Errorf("publish %s to %s: %w", f.Source, f.Dest, err)
		}
		// Not synced: a lost line only means that the same bytes are put in place once more.
		if _, err := journal.WriteString(strconv.Itoa(i) + "\n"); err != nil {
			return fmt.Errorf("output journal: %w", err)
		}
	}
	// The renames are durable before the manifest says that they are done.
	return p.closeDirs()
}

// closeDirs syncs and closes the destination directories.
func (p *publisher) closeDirs() error {
	var err error
	for _, d := range p.dirs {
		if syncErr := d.Sync(); syncErr != nil {
			err = errors.Join(err, fmt.Errorf("sync directory %s: %w", d.Name(), syncErr))
		}
		err = errors.Join(err, d.Close())
	}
	clear(p.dirs)
	return err
}

// readJournal returns the numbers of the files that are in place. A torn last line is ignored.
func readJournal(staging string) (map[int]bool, error) {
	done := make(map[int]bool)
	f, err := os.Open(filepath.Join(staging, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return nil, fmt.Errorf("output journal: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return done, nil
		}
		if i, err := strconv.Atoi(line[:len(line)-1]); err == nil {
			done[i] = true
		}
	}
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
