package model

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of a container.
const (
	MaxContainerImage = 512
	MaxMounts         = 64
)

// container judges what a variant of the container driver runs in. Whether the image exists is for
// the node to find out.
func (v *validator) container(at string, c *Container) {
	if c == nil {
		v.fault(at, "the container driver wants an image", "name one, as in docker.io/library/debian:12")
		return
	}
	switch {
	case c.Image == "":
		v.fault(at+".image", "the container has no image", "name one, as in docker.io/library/debian:12")
	case len(c.Image) > MaxContainerImage || strings.HasPrefix(c.Image, "-") || strings.ContainsFunc(c.Image, func(r rune) bool { return r <= ' ' || r > '~' }):
		v.fault(at+".image", fmt.Sprintf("%q is no name of an image", c.Image), "write it as in docker.io/library/debian:12")
	}
	if !slices.Contains([]string{"", PullAlways, PullMissing, PullNever}, c.Pull) {
		v.fault(at+".pull", fmt.Sprintf("there is no way to pull %q", c.Pull), "use always, missing or never")
	}
	v.atMost(at+".mounts", int64(len(c.Mounts)), MaxMounts, "mounts")
	for k, m := range c.Mounts {
		for _, end := range []struct{ name, path string }{{"from", m.From}, {"to", m.To}} {
			if !path.IsAbs(end.path) || path.Clean(end.path) == "/" || strings.ContainsRune(end.path, 0) {
				v.fault(fmt.Sprintf("%s.mounts[%d].%s", at, k, end.name), fmt.Sprintf("%q is no absolute path below the root", end.path), "write it as in /data/show")
			}
		}
	}
}
