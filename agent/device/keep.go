package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// readKept reads what an earlier agent knew. A file that is damaged is an error: to forget that a
// device is quarantined is worse than to ask.
func readKept(file string) (map[string]record, error) {
	kept := make(map[string]record)
	if file == "" {
		return kept, nil
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return kept, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &kept)
	}
	if err != nil {
		return nil, fmt.Errorf("health of devices as the last agent knew it: %w (remove %s to forget it; the servers keep the history)", err, file)
	}
	return kept, nil
}

// save writes what has to outlive the agent, if it has changed.
func (m *Manager) save() {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	if !m.unsaved || m.cfg.Keep == "" {
		m.mu.Unlock()
		return
	}
	m.unsaved = false
	all := make(map[string]record)
	for identity, r := range m.kept {
		all[identity] = r
	}
	for id, r := range m.records {
		if r.Health.Ill() {
			all[m.identity(id)] = *r
		}
	}
	raw, err := json.MarshalIndent(all, "", " ")
	m.mu.Unlock()
	if err == nil {
		err = replace(m.cfg.Keep, raw)
	}
	if err != nil {
		m.cfg.Logger.Error("cannot keep the health of devices: a new agent will not know it", "error", err)
	}
}

// replace puts content in the place of a file, whole or not at all.
func replace(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
