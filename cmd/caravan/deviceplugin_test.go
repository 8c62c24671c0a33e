package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAHostGetsThePluginsOfItsHardware(t *testing.T) {
	for name, tc := range map[string]struct {
		sysfs    map[string]string
		programs []string
		want     []string
	}{
		"nothing":                    {},
		"a driver of AMD":            {sysfs: map[string]string{"module/amdgpu/version": "6"}, want: []string{"amd"}},
		"a driver of NVIDIA":         {sysfs: map[string]string{"module/nvidia/version": "535"}, programs: []string{"caravan-nvidia"}, want: []string{"nvidia"}},
		"its plugin is not there":    {sysfs: map[string]string{"module/nvidia/version": "535"}},
		"the plugin without a GPU":   {programs: []string{"caravan-nvidia"}},
		"a GPU without its driver":   {sysfs: map[string]string{"bus/pci/devices/0000:3b:00.0/vendor": "0x10de", "bus/pci/devices/0000:3b:00.0/class": "0x030200"}, programs: []string{"caravan-nvidia"}, want: []string{"nvidia"}},
		"only the sound of a GPU":    {sysfs: map[string]string{"bus/pci/devices/0000:3b:00.1/vendor": "0x10de", "bus/pci/devices/0000:3b:00.1/class": "0x040300"}, programs: []string{"caravan-nvidia"}},
		"a network card of NVIDIA's": {sysfs: map[string]string{"bus/pci/devices/0000:5e:00.0/vendor": "0x15b3", "bus/pci/devices/0000:5e:00.0/class": "0x020000"}, programs: []string{"caravan-nvidia"}},
	} {
		t.Run(name, func(t *testing.T) {
			sysfs, programs := t.TempDir(), t.TempDir()
			files := make(map[string]string)
			for file, text := range tc.sysfs {
				files[filepath.Join(sysfs, file)] = text + "\n"
			}
			for _, program := range tc.programs {
				files[filepath.Join(programs, program)] = ""
			}
			for path, text := range files {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := defaultPlugins(sysfs, programs); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}
