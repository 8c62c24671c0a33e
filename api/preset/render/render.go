// Package render writes the job file of a shot: the frames of a scene for Blender or POV-Ray, each
// denoised as soon as it is rendered if that is wanted, and joined into a movie.
package render

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/api/jobspec"
	"caravan/api/preset"
)

//go:embed job.yaml.tmpl
var jobText string

// Options say what is wanted of a scene.
type Options struct {
	// Scene is a .blend or .pov file and Out the directory of the frames; both absolute and the same
	// on all nodes.
	Scene, Out string
	// Frames in the grammar of arrays, such as 1-250 or 1-250:2.
	Frames string
	// Chunk is how many frames one start of the program renders: a number, or auto.
	Chunk string
	// Order in which frames begin, as in a job file.
	Order string
	// Width and Height in pixels; zero for what a Blender scene says, and for 1280x720 else.
	Width, Height int
	// Devices that the scheduler may choose from: some of cpu, nvidia and amd. POV-Ray knows cpu.
	Devices []string
	// CPU and Memory of a task that renders on cores, and of the host's side of one that does not.
	CPU    int
	Memory string
	// MaxMemory is up to where the memory is learned when a frame needs more; empty for eight times
	// Memory.
	MaxMemory string
	// Limits that a task holds one of, such as licences.
	Limits []string
	// Denoise asks for a pass over each frame, Movie for a movie at so many frames a second.
	Denoise bool
	Movie   int
}

// Devices lists what Options.Devices may name.
func Devices() []string { return []string{"cpu", "nvidia", "amd"} }

type values struct {
	Options
	Name, Program string
	// First and Last frame in number, and Sequence, shell words that name all.
	First, Last int64
	Sequence    string
	// Raw is where frames go that are to be denoised, else where they stay.
	Raw       string
	LimitList string
	Variants  []variant
}

type variant struct{ Name, Note, Speed, Run, Resources string }

// Job writes the job file.
func Job(o Options) ([]byte, error) {
	v, err := o.values()
	if err != nil {
		return nil, err
	}
	t, err := preset.Template("render", jobText)
	if err != nil {
		return nil, err
	}
	return preset.Write(t, v)
}

func (o Options) values() (values, error) {
	ranges, _, err := jobspec.ParseArray(o.Frames)
	if err != nil {
		return values{}, fmt.Errorf("frames %q: %w", o.Frames, err)
	}
	if !filepath.IsAbs(o.Scene) || !filepath.IsAbs(o.Out) {
		return values{}, fmt.Errorf("scene %q and output directory %q have to be absolute", o.Scene, o.Out)
	}
	o.Out = strings.TrimSuffix(o.Out, "/") + "/"
	if o.MaxMemory == "" {
		mib, err := jobspec.ParseSize(o.Memory)
		if err != nil {
			return values{}, fmt.Errorf("memory %q: %w", o.Memory, err)
		}
		o.MaxMemory = fmt.Sprintf("%dMiB", 8*mib)
	}
	v := values{Options: o, Name: preset.Name("render", o.Scene), Raw: o.Out}
	if o.Denoise {
		v.Raw = o.Out + "raw/"
	}
	for i, l := range o.Limits {
		if i > 0 {
			v.LimitList += ", "
		}
		v.LimitList += l + ": 1"
	}
	v.frames(ranges)
	switch strings.ToLower(filepath.Ext(o.Scene)) {
	case ".blend":
		err = v.blender()
	case ".pov":
		err = v.povray()
	default:
		err = fmt.Errorf("%s is neither a .blend nor a .pov file", o.Scene)
	}
	return v, err
}

// frames finds the range of numbers, and the shell words that name all frames, rising.
func (v *values) frames(ranges []*pb.IndexRange) {
	var lists []string
	for i, r := range ranges {
		low, high := min(r.First, r.Last), max(r.First, r.Last)
		if i == 0 {
			v.First, v.Last = low, high
		}
		v.First, v.Last = min(v.First, low), max(v.Last, high)
		lists = append(lists, fmt.Sprintf("seq %d %d %d", low, max(r.Step, -r.Step), high))
	}
	v.Sequence = "$(" + lists[0] + ")"
	if len(lists) > 1 {
		v.Sequence = "$({ " + strings.Join(lists, "; ") + "; } | sort -n)"
	}
}

// blender renders by Cycles or whatever engine the scene names. Preferences of whoever saved it stay
// out of it, and a Python error, on which Blender would end with 0, ends it with 3.
func (v *values) blender() error {
	v.Program = "blender"
	size := ""
	if v.Width > 0 {
		size = fmt.Sprintf(" --python-expr \"import bpy; r = bpy.context.scene.render; r.resolution_x, r.resolution_y, r.resolution_percentage = %d, %d, 100\"", v.Width, v.Height)
	}
	run := func(threads int, cycles string) string {
		return fmt.Sprintf("blender -b \"$SCENE\" --factory-startup -noaudio --python-exit-code 3%s -t %d \\\n  -o \"$PWD/frames/f_####\" -F PNG -x 1 -f \"$(echo \"$CARAVAN_INDICES\" | tr ' ' ',')\"%s", size, threads, cycles)
	}
	return v.choose(map[string]variant{
		"cpu":    {Note: "On cores.", Speed: "1", Run: run(v.CPU, ""), Resources: fmt.Sprintf("{cpu: %d, memory: %s}", v.CPU, v.Memory)},
		"nvidia": {Note: "Cycles on an NVIDIA GPU.", Speed: "8", Run: run(2, " \\\n  -- --cycles-device CUDA"), Resources: fmt.Sprintf("{cpu: 2, memory: %s, devices: [{gpu: 1, vendor: nvidia}]}", v.Memory)},
		"amd":    {Note: "Cycles on an AMD GPU.", Speed: "5", Run: run(2, " \\\n  -- --cycles-device HIP"), Resources: fmt.Sprintf("{cpu: 2, memory: %s, devices: [{gpu: 1, vendor: amd}]}", v.Memory)},
	})
}

// povray renders a run of frames in one start, each with the clock that it has in the whole animation.
func (v *values) povray() error {
	v.Program = "povray"
	if v.Width == 0 {
		v.Width, v.Height = 1280, 720
	}
	last := max(v.Last, v.First+1) // one frame is no animation
	run := fmt.Sprintf(povrayScript, v.Width, v.Height, v.CPU, v.First, last, len(strconv.FormatInt(last, 10)))
	return v.choose(map[string]variant{
		"cpu": {Note: "On cores.", Speed: "1", Run: run, Resources: fmt.Sprintf("{cpu: %d, memory: %s}", v.CPU, v.Memory)},
	})
}

// povrayScript takes width, height, threads, the first and the last frame of all, and the digits that
// POV-Ray gives to a frame's number.
const povrayScript = `mkdir frames
pov() {
  povray "+I$SCENE" "+L$(dirname "$SCENE")" +W%d +H%d +A0.3 -J -D -V +WT%d +FN \
    +KFI%d +KFF%d "+SF$1" "+EF$2" +Oframes/f_ 2> log || { cat log >&2; exit 1; }
}
set -- $CARAVAN_INDICES
if [ $((CARAVAN_LAST - CARAVAN_FIRST + 1)) -eq $# ]; then
  pov "$CARAVAN_FIRST" "$CARAVAN_LAST"
else
  for i; do pov "$i" "$i"; done
fi
for i; do
  f=frames/f_$(printf %%0%dd "$i").png
  mv "$f" "$f.tmp" && mv "$f.tmp" frames/f_"$(printf %%04d "$i")".png
done`

// choose takes the variants that are asked for, of those that the program has.
func (v *values) choose(known map[string]variant) error {
	for _, name := range v.Devices {
		if !slices.Contains(Devices(), name) {
			return fmt.Errorf("device %q is none of %s", name, strings.Join(Devices(), ", "))
		}
		if chosen, ok := known[name]; ok {
			chosen.Name = name
			v.Variants = append(v.Variants, chosen)
		}
	}
	switch {
	case len(v.Variants) == 0:
		return fmt.Errorf("%s renders on none of the devices %s", v.Program, strings.Join(v.Devices, ", "))
	case v.CPU < 1:
		return fmt.Errorf("%d cores cannot render", v.CPU)
	}
	return nil
}
