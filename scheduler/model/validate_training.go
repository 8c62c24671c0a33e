package model

import (
	"fmt"
	"regexp"
	"strings"
)

// axisName is a name that can stand in ${matrix.NAME} and, in capitals, in a
// variable of the environment.
var axisName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,47}$`)

// maxAxisValueBytes bounds one value of an axis.
const maxAxisValueBytes = 1024

// matrix checks the axes of a sweep, and that the group's indices count its points.
func (v *validator) matrix(path string, g *TaskGroup) {
	if len(g.Matrix) == 0 {
		return
	}
	v.atMost(path+".matrix", int64(len(g.Matrix)), MaxAxes, "axes")
	seen := make(map[string]bool, len(g.Matrix))
	for i := range g.Matrix {
		a, at := &g.Matrix[i], fmt.Sprintf("%s.matrix[%d]", path, i)
		if !axisName.MatchString(a.Name) {
			v.fault(at+".name", fmt.Sprintf("%q is no name of an axis", a.Name), "use letters, digits and '_', beginning with a letter")
		}
		if seen[strings.ToUpper(a.Name)] {
			v.fault(at+".name", fmt.Sprintf("there are two axes %q, in whatever letters", a.Name), "rename one")
		}
		seen[strings.ToUpper(a.Name)] = true
		v.axisValues(at, a)
	}
	whole := Range{First: 0, Last: g.Matrix.Points() - 1, Step: 1}
	if x := g.Indices; len(x.Ranges) != 1 || x.Ranges[0] != whole || x.Chunk > 1 {
		v.fault(path+".indices", fmt.Sprintf("the sweep has %d points, numbered from 0", whole.Last+1), "leave out array, count and chunk")
	}
	if g.Gang {
		v.fault(path+".gang", "the points of a sweep are tasks of their own and no gang", "submit one job for each point, or leave out gang")
	}
}

func (v *validator) axisValues(at string, a *Axis) {
	if a.Len() == 0 {
		v.fault(at+".values", "the axis has no values", "write at least one")
	}
	v.atMost(at+".values", int64(len(a.Values)), MaxAxisValues, "values")
	seen := make(map[string]bool, len(a.Values))
	for _, s := range a.Values {
		if len(s) > maxAxisValueBytes {
			v.fault(at+".values", "a value is longer than 1,024 bytes", "put long texts into files")
		}
		if seen[s] {
			v.fault(at+".values", fmt.Sprintf("%q stands there twice", s), "keep one")
		}
		seen[s] = true
	}
}

// workspace checks what a job says of the directory that was sent along.
func (v *validator) workspace(w *Workspace) {
	if w == nil {
		return
	}
	if !ValidDigest(w.Digest) {
		v.fault("workspace.digest", fmt.Sprintf("%q is no SHA-256", w.Digest), "submit the file with caravan submit, which packs and sends the directory")
	}
	if w.Bytes < 0 || w.Bytes > MaxWorkspaceBytes {
		v.fault("workspace.bytes", "the packed directory is larger than 512 MiB", "keep data on storage that the nodes share")
	}
}
