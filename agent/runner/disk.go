package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"

	"caravan/agent/shim"
	pb "caravan/api/caravanv1"
)

// Names within an allocation's directory, beside the driver's.
const (
	assignmentName   = "assignment.json"
	resultName       = "result.json"
	acknowledgedName = "acknowledged"
)

// record is what the disk knows of an allocation.
type record struct {
	assignment   *pb.Assignment // nil when the directory is not whole
	result       *Result        // nil until it has ended
	acknowledged bool
}

// readRecord reads an allocation's directory. A directory without an assignment is one that
// was being made when the agent died: nothing was begun in it.
func readRecord(dir string) (record, error) {
	var rec record
	raw, err := os.ReadFile(filepath.Join(dir, assignmentName))
	if errors.Is(err, os.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.assignment = new(pb.Assignment)
	// Fields of a newer agent are passed over: this may be a downgrade.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, rec.assignment); err != nil {
		return rec, fmt.Errorf("%s: %w", filepath.Join(dir, assignmentName), err)
	}
	raw, err = os.ReadFile(filepath.Join(dir, resultName))
	if errors.Is(err, os.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.result = new(Result)
	if err := json.Unmarshal(raw, rec.result); err != nil {
		return rec, fmt.Errorf("%s: %w", filepath.Join(dir, resultName), err)
	}
	_, err = os.Lstat(filepath.Join(dir, acknowledgedName))
	rec.acknowledged = err == nil
	return rec, nil
}

// prepareDir makes the allocation's directory with what has to be in it before a driver
// begins. The assignment holds the job's environment, hence the modes.
func prepareDir(dir string, a *pb.Assignment) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if hosts := hostfile(a); hosts != nil {
		// In the directory that the task sees, whatever its sandbox hides.
		tmp := filepath.Join(dir, shim.TmpDir)
		if err := os.Mkdir(tmp, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, hostfileName), hosts, 0o644); err != nil {
			return err
		}
	}
	raw, err := protojson.Marshal(a)
	if err != nil {
		return err
	}
	return replaceFile(dir, assignmentName, raw)
}

func writeResult(dir string, r Result) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replaceFile(dir, resultName, raw)
}

// markAcknowledged notes that the servers know the result; a lost mark means one more report.
func markAcknowledged(dir string) error {
	return os.WriteFile(filepath.Join(dir, acknowledgedName), nil, 0o600)
}

// replaceFile puts a file in place whole. It is not synced: that protects against the death
// of the agent, and after a power cut nothing of the task is alive, and its exit, which the
// driver does sync, leads to the same result once more.
func replaceFile(dir, name string, data []byte) error {
	tmp := filepath.Join(dir, name+".tmp")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}
