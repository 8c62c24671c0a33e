package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"caravan/agent/device"
	"caravan/plugins/device/amd"
	"caravan/plugins/device/fpga"
	"caravan/plugins/device/sim"
)

// devicePluginCommand is the hidden subcommand under which this program is a device plugin.
const devicePluginCommand = "device-plugin"

// builtinPlugins are the device plugins in this program, so that there is nothing to install.
func builtinPlugins() map[string]func(args []string) error {
	return map[string]func([]string) error{"amd": amd.Main, "fpga": fpga.Main, "sim": sim.Main}
}

// runDevicePlugin is the plugin's whole process.
func runDevicePlugin(name string, args []string, stderr io.Writer) int {
	serve, ok := builtinPlugins()[name]
	if !ok {
		fmt.Fprintf(stderr, "device-plugin: no plugin %q; there are %s\n", name, strings.Join(slices.Sorted(maps.Keys(builtinPlugins())), ", "))
		return 2
	}
	if err := serve(args); err != nil {
		fmt.Fprintf(stderr, "device-plugin %s: %v\n", name, err)
		return 1
	}
	return 0
}

// defaultPlugins are those of which the host shows the hardware or its driver, and whose program is
// there: in this one, or in the same directory.
func defaultPlugins(sysfs, programs string) []string {
	var names []string
	for name, signs := range map[string][]string{
		"amd":  {"module/amdgpu", "class/kfd"},
		"fpga": {"class/fpga_manager", "class/fpga_region", "module/xocl"},
	} {
		if slices.ContainsFunc(signs, func(sign string) bool {
			_, err := os.Stat(filepath.Join(sysfs, sign))
			return err == nil
		}) {
			names = append(names, name)
		}
	}
	if _, err := besidePlugin(programs, nvidiaPlugin); err == nil && hasNVIDIA(sysfs) {
		names = append(names, nvidiaPlugin)
	}
	slices.Sort(names)
	return names
}

// hasNVIDIA reports whether NVIDIA's driver is loaded, or a GPU of theirs waits for one: then the
// plugin says what is missing.
func hasNVIDIA(sysfs string) bool {
	if _, err := os.Stat(filepath.Join(sysfs, "module/nvidia")); err == nil {
		return true
	}
	functions, _ := filepath.Glob(filepath.Join(sysfs, "bus/pci/devices/*")) // the pattern is right
	return slices.ContainsFunc(functions, func(dir string) bool {
		vendor, err1 := os.ReadFile(filepath.Join(dir, "vendor"))
		class, err2 := os.ReadFile(filepath.Join(dir, "class"))
		return err1 == nil && err2 == nil && strings.HasPrefix(string(vendor), "0x10de") && strings.HasPrefix(string(class), "0x03")
	})
}

// devicePlugins translates the values of --device-plugin: the name of a built-in plugin or the
// path of a program, each with arguments behind it. None given means those that the host needs.
func devicePlugins(values []string) ([]device.Plugin, error) {
	if len(values) == 0 {
		programs, err := programDir()
		if err != nil {
			return nil, err
		}
		values = defaultPlugins("/sys", programs)
	}
	var plugins []device.Plugin
	for _, value := range values {
		if value == "none" && len(values) == 1 {
			return nil, nil
		}
		command, err := pluginCommand(strings.Fields(value))
		if err != nil {
			return nil, &usageError{"--device-plugin: " + err.Error(), "see `caravan agent --help`"}
		}
		name := filepath.Base(strings.Fields(value)[0])
		plugins = append(plugins, device.Plugin{Name: name, Command: command})
	}
	return plugins, nil
}

// nvidiaPlugin is a program of its own, since it needs cgo: caravan-nvidia, beside this one.
const nvidiaPlugin = "nvidia"

// programDir is where this program lies.
func programDir() (string, error) {
	self, err := os.Executable()
	return filepath.Dir(self), err
}

// besidePlugin returns the program of a plugin that lies beside this one.
func besidePlugin(programs, name string) (string, error) {
	path := filepath.Join(programs, "caravan-"+name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("plugin %s: %w (install it beside caravan, or give its path)", name, err)
	}
	return path, nil
}

// pluginNames are the names that --device-plugin takes.
func pluginNames() string {
	return strings.Join(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(builtinPlugins())), nvidiaPlugin))), ", ")
}

// pluginCommand is the command line of a plugin given by its name or path.
func pluginCommand(words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf("name a plugin, one of %s, or the path of one", pluginNames())
	}
	if words[0] == nvidiaPlugin {
		programs, err := programDir()
		if err != nil {
			return nil, err
		}
		path, err := besidePlugin(programs, nvidiaPlugin)
		return append([]string{path}, words[1:]...), err
	}
	if _, ok := builtinPlugins()[words[0]]; ok {
		self, err := os.Executable()
		return append([]string{self, devicePluginCommand}, words...), err
	}
	if !strings.Contains(words[0], "/") {
		return nil, fmt.Errorf("no plugin %q; there are %s, or give the path of one", words[0], pluginNames())
	}
	path, err := filepath.Abs(words[0])
	if err == nil {
		_, err = os.Stat(path)
	}
	return append([]string{path}, words[1:]...), err
}
