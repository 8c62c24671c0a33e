package sim

import (
	"fmt"
	"strings"

	"caravan/plugins/sdk/pluginv1"
)

// addMount reads HOST:TASK or HOST:TASK:OPTION,...
func (c *Config) addMount(text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 2 {
		return fmt.Errorf("mount %q must read HOST:TASK or HOST:TASK:OPTION,...", text)
	}
	m := &pluginv1.Mount{HostPath: parts[0], ContainerPath: parts[1]}
	if len(parts) == 3 {
		m.Options = strings.Split(parts[2], ",")
	}
	c.Mounts = append(c.Mounts, m)
	return nil
}

// addHook reads NAME=PROGRAM.
func (c *Config) addHook(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("hook %q must read createRuntime=PROGRAM or poststop=PROGRAM", text)
	}
	c.Hooks = append(c.Hooks, &pluginv1.Hook{Name: name, Path: path})
	return nil
}
