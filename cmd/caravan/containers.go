package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// containerStore is the program that keeps images of containers.
	containerStore = "caravan-container"
	// containerSocket is where containerd listens as a rule.
	containerSocket = "/run/containerd/containerd.sock"
)

// containerProgram translates the value of --containers: a program with its arguments. Nothing given
// means the one beside this program, where there is one, and a daemon for it to talk to.
func containerProgram(value string) ([]string, error) {
	if value == "none" {
		return nil, nil
	}
	dir, err := programDir()
	if err != nil {
		return nil, err
	}
	beside := filepath.Join(dir, containerStore)
	words := strings.Fields(value)
	if len(words) == 0 {
		for _, needed := range []string{beside, containerSocket} {
			if _, err := os.Stat(needed); err != nil {
				return nil, nil //nolint:nilerr // there is none, then
			}
		}
		return []string{beside}, nil
	}
	if words[0] == containerStore {
		words[0] = beside
	}
	if !filepath.IsAbs(words[0]) {
		return nil, &usageError{fmt.Sprintf("--containers: %q is no absolute path", words[0]), "give " + containerStore + ", or the path of a program"}
	}
	if _, err := os.Stat(words[0]); err != nil {
		return nil, fmt.Errorf("--containers: %w", err)
	}
	return words, nil
}
