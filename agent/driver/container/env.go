package container

import (
	"maps"
	"slices"
	"strings"
)

// withImage adds an image's variables to the task's. The task's win, but for those that yield.
func withImage(env, image, yield []string) []string {
	all := make(map[string]string, len(env)+len(image))
	put := func(kv string) {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			all[k] = v
		}
	}
	for _, kv := range image {
		put(kv)
	}
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		if _, there := all[k]; !there || !slices.Contains(yield, k) {
			put(kv)
		}
	}
	out := make([]string, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, k+"="+all[k])
	}
	return out
}
