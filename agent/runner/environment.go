package runner

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"caravan/agent/shim"
	pb "caravan/api/caravanv1"
)

// defaultPath is where commands are looked up unless the job says otherwise.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// own is the prefix of the variables that describe the allocation. A job cannot set them.
const own = "CARAVAN_"

// description returns the CARAVAN_ variables of an allocation.
func description(a *pb.Assignment) map[string]string {
	al := a.Allocation
	indices := make([]string, len(al.Indices))
	for i, n := range al.Indices {
		indices[i] = strconv.FormatInt(n, 10)
	}
	var devices []string
	for _, d := range al.Devices {
		devices = append(devices, d.DeviceId)
	}
	env := map[string]string{
		"CARAVAN_JOB_ID":     al.JobId,
		"CARAVAN_JOB_NAME":   a.JobName,
		"CARAVAN_GROUP":      al.Group,
		"CARAVAN_TASK":       strconv.FormatInt(al.Ordinal, 10),
		"CARAVAN_INDICES":    strings.Join(indices, " "),
		"CARAVAN_ATTEMPT":    strconv.Itoa(int(al.Attempt)),
		"CARAVAN_EPOCH":      strconv.Itoa(int(al.Epoch)),
		"CARAVAN_ALLOCATION": al.Id,
		"CARAVAN_NODE":       al.Node,
		"CARAVAN_CPUS":       strconv.FormatInt(wholeCores(al.CpuMilli), 10),
		"CARAVAN_CPU_MILLI":  strconv.FormatInt(al.CpuMilli, 10),
		"CARAVAN_MEMORY_MIB": strconv.FormatInt(al.MemoryMib, 10),
		"CARAVAN_DEVICES":    strings.Join(devices, ","),
	}
	if n := len(indices); n > 0 {
		env["CARAVAN_INDEX"], env["CARAVAN_FIRST"], env["CARAVAN_LAST"] = indices[0], indices[0], indices[n-1]
	}
	if g := a.Gang; g != nil {
		env["CARAVAN_RANK"], env["CARAVAN_WORLD_SIZE"] = strconv.Itoa(int(g.Rank)), strconv.Itoa(int(g.WorldSize))
		if list := listed(g.Nodes, (*pb.GangNode).GetName); len(list) <= maxListBytes {
			env["CARAVAN_GANG_NODES"] = list
		}
	}
	maps.Copy(env, point(a))
	return env
}

// wholeCores is how many threads make sense with a share of the processor.
func wholeCores(milli int64) int64 { return max(1, milli/1000) }

// environment returns the whole environment of the command as sorted KEY=VALUE. The group's
// variables lie above the defaults, the variant's above the group's, and the description of
// the allocation above all. dir is the allocation's directory.
func environment(a *pb.Assignment, home, dir string) []string {
	described := description(a)
	fixed, defaults := meeting(a, dir)
	env := map[string]string{
		"PATH":            defaultPath,
		"LANG":            "C.UTF-8",
		"HOME":            home,
		"TMPDIR":          filepath.Join(dir, shim.TmpDir),
		"OMP_NUM_THREADS": described["CARAVAN_CPUS"],
		resultsVariable:   filepath.Join(dir, shim.TmpDir, resultsFile),
	}
	if gpus(a) > 0 {
		// As the devices are numbered everywhere else; CUDA's own order is by speed.
		env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
	}
	maps.Copy(env, defaults)
	_, batchDefaults := batchEnvironment(a, dir, "")
	maps.Copy(env, batchDefaults)
	for _, layer := range []map[string]string{a.Group.GetEnv(), a.Variant.GetEnv()} {
		for k, v := range layer {
			if !strings.HasPrefix(k, own) {
				env[k] = expand(v, described)
			}
		}
	}
	maps.Copy(env, described)
	maps.Copy(env, fixed)
	batched, _ := batchEnvironment(a, dir, env["PATH"])
	maps.Copy(env, batched)
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// reference is ${CARAVAN_NAME} or ${matrix.NAME}.
var reference = regexp.MustCompile(`\$\{(?:CARAVAN_[A-Z0-9_]+|matrix\.[A-Za-z0-9_]+)\}`)

// expand replaces ${CARAVAN_NAME} by the allocation's value, so that a command without a
// shell can name its index, and ${matrix.NAME} by that of an axis. Names that do not exist
// and everything else stay as they are.
func expand(text string, described map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		name := ref[2 : len(ref)-1]
		if axis, ok := strings.CutPrefix(name, "matrix."); ok {
			name = axisVariable(axis)
		}
		if v, ok := described[name]; ok {
			return v
		}
		return ref
	})
}

func expandAll(texts []string, described map[string]string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = expand(t, described)
	}
	return out
}
