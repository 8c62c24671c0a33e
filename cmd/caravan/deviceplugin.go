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

// defaultPlugins are those of which the host shows the hardware or its driver.
func defaultPlugins(sysfs string) []string {
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
	slices.Sort(names)
	return names
}

// devicePlugins translates the values of --device-plugin: the name of a built-in plugin or the
// path of a program, each with arguments behind it. None given means those that the host needs.
func devicePlugins(values []string) ([]device.Plugin, error) {
	if len(values) == 0 {
		values = defaultPlugins("/sys")
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

// pluginCommand is the command line of a plugin given by its name or path.
func pluginCommand(words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf("name a plugin, one of %s, or the path of one", strings.Join(slices.Sorted(maps.Keys(builtinPlugins())), ", "))
	}
	if _, ok := builtinPlugins()[words[0]]; ok {
		self, err := os.Executable()
		return append([]string{self, devicePluginCommand}, words...), err
	}
	if !strings.Contains(words[0], "/") {
		return nil, fmt.Errorf("no plugin %q; there are %s, or give the path of one", words[0], strings.Join(slices.Sorted(maps.Keys(builtinPlugins())), ", "))
	}
	path, err := filepath.Abs(words[0])
	if err == nil {
		_, err = os.Stat(path)
	}
	return append([]string{path}, words[1:]...), err
}
