package amd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk/pluginv1"
)

// signals are what is wrong with a GPU now.
func (g gpu) signals() []*pluginv1.Signal {
	var seen []*pluginv1.Signal
	say := func(code string, count int64, format string, args ...any) {
		seen = append(seen, &pluginv1.Signal{Code: code, Count: count, Detail: fmt.Sprintf(format, args...)})
	}
	for _, f := range g.Glob("ras/*_err_count") {
		block := strings.TrimSuffix(f.Name(), "_err_count")
		ue, ce := errorCounts(f.Text())
		if ue > 0 {
			say("amd-ras-uncorrectable", ue, "%d uncorrectable errors in block %s", ue, block)
		}
		if ce > 0 {
			say("amd-ras-correctable", ce, "%d corrected errors in block %s", ce, block)
		}
	}
	if g.Unreadable("gpu_busy_percent") {
		say("amd-not-answering", 0, "the driver cannot read how busy the GPU is")
	}
	if _, width, _, most := g.Link(); width > 0 && width < most {
		say("pcie-narrow", 0, "the link has %d lanes of %d", width, most)
	}
	for _, h := range g.Glob("hwmon/hwmon*") {
		now, ok1 := h.Number("temp1_input")
		crit, ok2 := h.Number("temp1_crit")
		if ok1 && ok2 && crit > 0 && now >= crit {
			say("over-temperature", 0, "%d degrees C, critical at %d", now/1000, crit/1000)
		}
	}
	return seen
}

// errorCounts reads "ue: N" and "ce: N" of a RAS block.
func errorCounts(text string) (ue, ce int64) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			continue
		}
		switch strings.TrimSpace(key) {
		case "ue":
			ue = n
		case "ce":
			ce = n
		}
	}
	return ue, ce
}

// Stats reads memory, load, power and temperature.
func (p *Plugin) Stats(context.Context) (*pluginv1.StatsSample, error) {
	found, _ := p.find()
	sample := &pluginv1.StatsSample{}
	for _, g := range found {
		values := make(map[string]int64)
		put := func(name string, dir sysfs.Dir, file string, times, by int64) {
			if n, ok := dir.Number(file); ok {
				values[name] = n * times / by
			}
		}
		if g.xcp > 0 {
			// The counters are of the whole GPU. What processes have of a part is known.
			for _, one := range p.processes(g) {
				values["memory_used_bytes"] += one.memory
			}
			sample.Devices = append(sample.Devices, &pluginv1.DeviceStats{DeviceId: g.id, Values: values})
			continue
		}
		put("memory_used_bytes", g.Dir, "mem_info_vram_used", 1, 1)
		if used, ok := values["memory_used_bytes"]; ok {
			p.least(g.id, used)
		}
		put("busy_thousandths", g.Dir, "gpu_busy_percent", 10, 1)
		put("memory_busy_thousandths", g.Dir, "mem_busy_percent", 10, 1)
		for _, h := range g.Glob("hwmon/hwmon*") {
			put("power_milliwatts", h, "power1_average", 1, 1000)
			put("temperature_millicelsius", h, "temp1_input", 1, 1)
		}
		sample.Devices = append(sample.Devices, &pluginv1.DeviceStats{DeviceId: g.id, Values: values})
	}
	return sample, nil
}
