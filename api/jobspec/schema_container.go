package jobspec

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxMounts is how many mounts a container takes.
const maxMounts = 64

// maxContainerImage is how many bytes the name of a container's image has at most.
const maxContainerImage = 512

func mountObject() *object {
	return &object{
		id: "mount", heading: "Mount",
		title: "a mount",
		doc:   "A mount shows a file or directory of the node to the tasks in a container. Their user has no more rights to it than anywhere else. What a node's operator hides from tasks cannot be mounted, nor /proc, /sys, /dev and /tmp.",
		fields: []field{
			{
				name: "from", is: pathText{absolute: true}, required: true, example: "/data/show",
				doc:       "Where it lies on the node.",
				elsewhere: []string{"source", "src", "host", "hostpath", "path"},
			},
			{
				name: "to", is: pathText{absolute: true}, unset: "the same as from", example: "/show",
				doc:       "Where the container has it.",
				elsewhere: []string{"target", "destination", "dst", "mountpath", "at"},
			},
			{
				name: "write", is: boolean{}, unset: "false", example: "true",
				doc:       "Lets the tasks write to it.",
				elsewhere: []string{"rw", "writable", "read_only", "readonly"},
			},
		},
	}
}

// imageName is the name of a container's image.
type imageName struct{}

func (imageName) words() string { return "the name of an image, as in docker.io/library/debian:12" }

func (is imageName) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	switch {
	case !ok:
	case text == "":
		r.reject(v, v.at, "is empty", "write "+is.words())
	case len(text) > maxContainerImage || strings.HasPrefix(text, "-") || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
		r.reject(v, v.at, quote(text)+" is no name of an image", "write "+is.words())
	default:
		v.data = text
	}
}

func (imageName) editor() map[string]any {
	return map[string]any{"type": "string", "pattern": "^[!-,./-~][!-~]*$", "maxLength": maxContainerImage}
}
