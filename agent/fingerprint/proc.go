package fingerprint

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// cpuInfo is what /proc/cpuinfo tells; see proc_cpuinfo(5).
type cpuInfo struct {
	count int64 // logical processors
	model string
	flags []string // of knownFlags, in that order
}

// knownFlags are the instruction sets that media and learning code is built for. All flags
// of a processor would be some 150 attributes a node.
var knownFlags = []string{
	"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "aes", "sha_ni",
	"asimd", "asimddp", "sve", "sve2", "bf16",
}

func readCPU(root string) (cpuInfo, error) {
	var c cpuInfo
	f, err := os.Open(path(root, "proc/cpuinfo"))
	if err != nil {
		return c, fmt.Errorf("processors: %w", err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20) // the flags are one long line
	for scanner.Scan() {
		key, value, _ := strings.Cut(scanner.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			c.count++
		case "model name":
			c.model = value
		case "flags", "Features":
			if c.flags == nil {
				c.flags = flagsIn(value)
			}
		}
	}
	if err := scanner.Err(); err != nil {
		return c, fmt.Errorf("processors: %w", err)
	}
	if c.count == 0 {
		return c, errors.New("/proc/cpuinfo lists no processor")
	}
	return c, nil
}

func flagsIn(line string) []string {
	has := strings.Fields(line)
	var out []string
	for _, f := range knownFlags {
		if slices.Contains(has, f) {
			out = append(out, f)
		}
	}
	return out
}

// readMemoryMiB returns MemTotal of /proc/meminfo, which is in KiB; see proc_meminfo(5).
func readMemoryMiB(root string) (int64, error) {
	raw, err := os.ReadFile(path(root, "proc/meminfo"))
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("memory: /proc/meminfo: %w", err)
		}
		return kib >> 10, nil
	}
	return 0, errors.New("memory: /proc/meminfo has no MemTotal")
}

// numaNodes counts the host's memory nodes, at least 1.
func numaNodes(root string) int64 {
	entries, err := os.ReadDir(path(root, "sys/devices/system/node"))
	var n int64
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), "node"); ok {
			if _, err := strconv.Atoi(number); err == nil {
				n++
			}
		}
	}
	if err != nil {
		return 1 // a kernel without NUMA
	}
	return max(1, n)
}

// kernelMilli turns a kernel release into a number that compares: 6.18.3-x becomes 6018,
// which reads as 6.018.
func kernelMilli(release string) (int64, bool) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, false
	}
	major, err1 := strconv.ParseInt(parts[0], 10, 32)
	minor, err2 := strconv.ParseInt(leadingDigits(parts[1]), 10, 32)
	return major*1000 + minor, err1 == nil && err2 == nil && minor < 1000
}

func leadingDigits(s string) string {
	for i, c := range s {
		if c < '0' || c > '9' {
			return s[:i]
		}
	}
	return s
}

// osRelease returns ID and VERSION_ID of os-release(5).
func osRelease(root string) (id, version string) {
	raw, err := os.ReadFile(path(root, "etc/os-release"))
	if err != nil {
		if raw, err = os.ReadFile(path(root, "usr/lib/os-release")); err != nil {
			return "", ""
		}
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return id, version
}
