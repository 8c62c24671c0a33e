package consensus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// lone starts a cluster of one on disk, with a transport that leads nowhere.
func lone(dir string, tweak func(*Config)) (*Node, *listMachine, error) {
	machine := &listMachine{}
	_, wire := raft.NewInmemTransport("s1")
	cfg := Config{
		ServerID: "s1", Transport: wire, DataDir: dir, Bootstrap: true, StateMachine: machine,
		Timing: Timing{Heartbeat: 20 * time.Millisecond, Election: 20 * time.Millisecond, LeaderLease: 20 * time.Millisecond, Commit: 5 * time.Millisecond},
	}
	if tweak != nil {
		tweak(&cfg)
	}
	n, err := New(cfg)
	return n, machine, err
}

// lead waits until the node is the established leader.
func lead(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	changes, done := n.Subscribe()
	defer done()
	for {
		select {
		case l := <-changes:
			if l.Leader {
				return
			}
		case <-ctx.Done():
			t.Fatal("not elected")
		}
	}
}

func shutdown(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Shutdown(context.Background()); err != nil {
		t.Fatalf("shut down: %v", err)
	}
}

func mustPropose(t *testing.T, n *Node, id uint64) {
	t.Helper()
	if _, _, err := n.Propose(context.Background(), command(id)); err != nil {
		t.Fatalf("propose %d: %v", id, err)
	}
}

func TestServerRemembersEverythingAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	var want []uint64
	for restart := range 4 {
		n, machine, err := lone(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		lead(t, n)
		if got := machine.all(); !slices.Equal(got, want) {
			t.Fatalf("after %d restarts it holds %v, want %v", restart, got, want)
		}
		for range 5 {
			id := uint64(len(want))
			mustPropose(t, n, id)
			want = append(want, id)
		}
		if restart == 1 {
			r, err := n.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if (machine.restores > 0) != (restart >= 2) {
			t.Fatalf("at start %d it restored %d snapshots", restart, machine.restores)
		}
		shutdown(t, n)
	}
}

func TestDataDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	n, _, err := lone(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := lone(dir, nil); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("while it is in use: %v", err)
	}
	shutdown(t, n)
	if _, _, err := lone(dir, func(c *Config) { c.ServerID = "s2" }); err == nil || !strings.Contains(err.Error(), `belongs to server "s1", this is server "s2"`) {
		t.Errorf("of another server: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := lone(file, nil); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	dir := t.TempDir()
	leftover := filepath.Join(dir, snapshotDir, "2-17-1700000000000"+tmpSuffix)
	if err := os.MkdirAll(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	n, _, err := lone(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, n)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the half-written snapshot is still there: %v", err)
	}
}

// A slow follower reads an old snapshot for as long as it likes, while new ones
// are made and old ones removed.
func TestSnapshotsOverlap(t *testing.T) {
	n, _, err := lone(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, n)
	lead(t, n)
	mustPropose(t, n, 7)
	old, err := n.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(3 * retainSnapshots) {
		mustPropose(t, n, id)
		newer, err := n.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := newer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(old)
	if err != nil || !bytes.Equal(data[snapshotHeader:], command(7)) {
		t.Fatalf("the old snapshot reads %x, %v", data, err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := n.store.snapshots.List()
	if err != nil || len(kept) != retainSnapshots {
		t.Fatalf("%d snapshots are kept: %v", len(kept), err)
	}
}

func TestLogRecordsAreChecked(t *testing.T) {
	below := raft.NewInmemStore()
	s := &checkedStore{below}
	log := &raft.Log{Index: 7, Term: 3, Type: raft.LogConfiguration, Data: []byte("members"), Extensions: []byte("ext")}
	if err := s.StoreLog(log); err != nil {
		t.Fatal(err)
	}
	if string(log.Extensions) != "ext" {
		t.Fatalf("the caller's record was changed: %q", log.Extensions)
	}
	var got raft.Log
	if err := s.GetLog(7, &got); err != nil || string(got.Data) != "members" || string(got.Extensions) != "ext" {
		t.Fatalf("read %+v, %v", got, err)
	}
	if err := s.GetLog(8, &got); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("raft looks for ErrLogNotFound, got %v", err)
	}
	for name, spoil := range map[string]func(*raft.Log){
		"index":       func(l *raft.Log) { l.Index++ },
		"term":        func(l *raft.Log) { l.Term ^= 4 },
		"type":        func(l *raft.Log) { l.Type ^= 1 },
		"data":        func(l *raft.Log) { l.Data[3] ^= 1 },
		"extensions":  func(l *raft.Log) { l.Extensions[0] ^= 1 },
		"checksum":    func(l *raft.Log) { l.Extensions[len(l.Extensions)-1] ^= 1 },
		"no checksum": func(l *raft.Log) { l.Extensions = nil },
		"moved bytes": func(l *raft.Log) { l.Data, l.Extensions = l.Data[:6], append([]byte{'s'}, l.Extensions...) },
	} {
		var bad raft.Log
		if err := below.GetLog(7, &bad); err != nil {
			t.Fatal(err)
		}
		bad.Data, bad.Extensions = bytes.Clone(bad.Data), bytes.Clone(bad.Extensions)
		spoil(&bad)
		spoiled := raft.NewInmemStore()
		at := bad.Index
		bad.Index = 7
		if err := spoiled.StoreLog(&bad); err != nil {
			t.Fatal(err)
		}
		bad.Index = at
		if err := (&checkedStore{spoiled}).GetLog(7, &got); !errors.Is(err, errEnvelope) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// panickyStore stands for a decoder that trips over damage.
type panickyStore struct{ raft.LogStore }

func (panickyStore) GetLog(uint64, *raft.Log) error { panic("slice bounds out of range") }

func TestDecoderPanicIsDamage(t *testing.T) {
	if err := (&checkedStore{panickyStore{}}).GetLog(1, new(raft.Log)); !errors.Is(err, errEnvelope) {
		t.Fatalf("error is %v", err)
	}
}

// logged is how many ids the damaged logs hold.
const logged = 5

// writtenLog makes a data directory with a log of the given ids and returns the
// one segment file and where its data ends.
func writtenLog(t *testing.T, ids int) (dir, segment string, content []byte, end int) {
	t.Helper()
	dir = t.TempDir()
	n, _, err := lone(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	lead(t, n)
	for id := range uint64(ids) {
		mustPropose(t, n, id)
	}
	shutdown(t, n)
	segments, err := filepath.Glob(filepath.Join(dir, walDir, "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments are %v, %v", segments, err)
	}
	content, err = os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	return dir, segments[0], content, len(bytes.TrimRight(content, "\x00"))
}

// damaged runs what a start does with the log: open it, read every record, open
// every envelope. It returns the ids found.
func damaged(dir string) (ids []uint64, err error) {
	s, err := openStore(&Config{ServerID: "s1", DataDir: dir, Logger: hclog.NewNullLogger()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	first, err := s.logs.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := s.logs.LastIndex()
	if err != nil {
		return nil, err
	}
	for i := first; i != 0 && i <= last; i++ {
		var log raft.Log
		if err := s.logs.GetLog(i, &log); err != nil {
			return ids, err
		}
		if log.Type != raft.LogCommand {
			continue
		}
		commands, err := decodeEnvelope(log.Data)
		if err != nil {
			return ids, err
		}
		for _, c := range commands {
			ids = append(ids, binary.BigEndian.Uint64(c))
		}
	}
	return ids, nil
}

// isPrefix reports whether the ids are 0, 1, 2 and so on.
func isPrefix(ids []uint64) bool {
	for i, id := range ids {
		if id != uint64(i) {
			return false
		}
	}
	return true
}

// Damage is looked for at every byte of a small log, as after a crash of the
// machine, which may leave an old mark of the log's end, and as after a crash of
// the process, which leaves the exact one.
func TestCutLogRecoversOrRefuses(t *testing.T) {
	for name, mark := range map[string]bool{"machine crash": false, "process crash": true} {
		t.Run(name, func(t *testing.T) {
			dir, segment, content, end := writtenLog(t, logged)
			tail, err := os.ReadFile(filepath.Join(dir, tailFile))
			if err != nil {
				t.Fatal(err)
			}
			recovered, refused := 0, 0
			for size := 0; size <= end; size++ {
				// A crash leaves the preallocated file at its length: zeros follow.
				cut := make([]byte, end+64)
				copy(cut, content[:size])
				ids, err := tryDamage(t, dir, segment, cut, tail, mark)
				switch {
				case err != nil:
					refused++
				case !isPrefix(ids):
					t.Fatalf("cut at byte %d of %d, and the state is wrong: %v", size, end, ids)
				case mark && len(ids) < logged:
					t.Fatalf("cut at byte %d of %d, and nobody misses the commands after %v", size, end, ids)
				default:
					recovered++
				}
			}
			if recovered == 0 || (refused > 0) != mark {
				t.Fatalf("%d cuts recovered, %d refused", recovered, refused)
			}
		})
	}
}

func TestFlippedBitInTheLogIsRefusedOrHarmless(t *testing.T) {
	dir, segment, content, end := writtenLog(t, logged)
	tail, err := os.ReadFile(filepath.Join(dir, tailFile))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := range end {
		flipped := bytes.Clone(content[:end+64])
		flipped[at] ^= 0x40
		ids, err := tryDamage(t, dir, segment, flipped, tail, true)
		if err != nil {
			refused++
		} else if !isPrefix(ids) || len(ids) != logged {
			t.Fatalf("byte %d of %d flipped, and the state is wrong: %v", at, end, ids)
		}
	}
	if refused == 0 {
		t.Fatal("no damage was ever refused")
	}
	t.Logf("%d flips, %d refused, the others changed nothing that matters", end, refused)
}

// tryDamage writes a damaged segment, with the mark or without, and reads the
// log as a start would.
func tryDamage(t *testing.T, dir, segment string, content, tail []byte, mark bool) ([]uint64, error) {
	t.Helper()
	if !mark {
		tail = nil
	}
	if err := errors.Join(os.WriteFile(segment, content, 0o600), os.WriteFile(filepath.Join(dir, tailFile), tail, 0o600)); err != nil {
		t.Fatal(err)
	}
	return damaged(dir)
}

func TestMarkFollowsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), tailFile)
	logs := raft.NewInmemStore()
	s, err := markLog(logs, path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []*raft.Log
	for i := range uint64(10) {
		entries = append(entries, &raft.Log{Index: i + 1})
	}
	for _, step := range []struct {
		name string
		do   func() error
		want uint64
	}{
		{"append", func() error { return s.StoreLogs(entries) }, 10},
		{"append nothing", func() error { return s.StoreLogs(nil) }, 10},
		{"drop the beginning", func() error { return s.DeleteRange(1, 3) }, 10},
		{"drop the end", func() error { return s.DeleteRange(8, 10) }, 7},
		{"append one", func() error { return s.StoreLog(&raft.Log{Index: 8}) }, 8},
		{"drop everything", func() error { return s.DeleteRange(4, 8) }, 0},
		{"begin again", func() error { return s.StoreLog(&raft.Log{Index: 90}) }, 90},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := s.read(); got != step.want {
			t.Fatalf("after %s the mark is %d, want %d", step.name, got, step.want)
		}
	}
	if err := s.tail.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := markLog(raft.NewInmemStore(), path); !errors.Is(err, errEnvelope) || !strings.Contains(err.Error(), "it ends at record 0, but record 90 had been stored") {
		t.Fatalf("a log that lost its end: %v", err)
	}
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = markLog(raft.NewInmemStore(), path)
	if err != nil {
		t.Fatalf("a torn mark proves nothing: %v", err)
	}
	if err := s.tail.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEveryWrapperTellsRaftAboutGaps(t *testing.T) {
	s, err := openStore(&Config{ServerID: "s1", DataDir: t.TempDir(), Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	if !isMonotonic(&gaugedStore{LogStore: s.logs}) {
		t.Error("raft does not learn that the log refuses gaps")
	}
	if isMonotonic(&gaugedStore{LogStore: raft.NewInmemStore()}) {
		t.Error("raft is told of a store that takes gaps that it refuses them")
	}
}

// A start on a damaged log returns an error with a hint; it does not panic.
func TestStartOnADamagedLogIsRefused(t *testing.T) {
	dir, segment, content, _ := writtenLog(t, logged)
	at := bytes.Index(content, appendEnvelope(nil, [][]byte{command(3)}))
	if at < 0 {
		t.Fatal("the log does not hold the command as it was proposed")
	}
	content[at+7] ^= 1
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	n, _, err := lone(dir, nil)
	if err == nil {
		shutdown(t, n)
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), "move the data directory away") {
		t.Fatalf("error is %v", err)
	}
	// All is closed again: the directory can be used once it is mended.
	content[at+7] ^= 1
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	n, machine, err := lone(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, n)
	lead(t, n)
	if got := machine.all(); len(got) != logged {
		t.Fatalf("it holds %v", got)
	}
}
