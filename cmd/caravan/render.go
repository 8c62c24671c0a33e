package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"caravan/api/preset/render"
)

func newRenderCmd(s *session) *cobra.Command {
	var (
		preset    presetFlags
		out, size string
		o         render.Options
	)
	cmd := &cobra.Command{
		Use:   "render SCENE",
		Short: "Render the frames of a Blender or POV-Ray scene",
		Long: `Render the frames of a .blend or .pov file, several to a start of the program, on
whatever the scheduler finds: cores, or GPUs for Blender. What is submitted is an
ordinary job file, which --print shows: begin your own with it.

The nodes must see the scene, what it loads, and the output directory under the
same paths. Frames that failed are rendered again with caravan retry JOB.`,
		Example: `  caravan render shot.blend --frames 1-250 --out /data/shot
  caravan render shot.blend --frames 1-250 --order first-middle-last --limit blender --out frames
  caravan render scene.pov --frames 1-24 --size 640x360 --denoise --movie 24 --out frames --wait`,
		Args: exactly("SCENE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Scene, err = regular(args[0]); err != nil {
				return err
			}
			if o.Out, err = filepath.Abs(out); err != nil {
				return err
			}
			if size != "" {
				if n, err := fmt.Sscanf(size, "%dx%d", &o.Width, &o.Height); err != nil || n != 2 || o.Width < 1 || o.Height < 1 {
					return &usageError{fmt.Sprintf("--size %q is not a width and a height", size), "for example --size 1920x1080"}
				}
			}
			text, err := render.Job(o)
			if err != nil {
				return usagef("%s", err)
			}
			return preset.do(s, cmd, text)
		},
	}
	preset.add(s, cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Frames, "frames", "", "frames, e.g. 1-250, 1-250:2 or 1,5,10-20")
	flags.StringVar(&out, "out", "", "directory for the frames")
	flags.StringVar(&o.Chunk, "chunk", "auto", "frames for one start of the program: a number, or auto")
	flags.StringVar(&o.Order, "order", "forward", "forward, reverse, interleave or first-middle-last")
	flags.StringVar(&size, "size", "", "pixels, e.g. 1920x1080 (default: what a Blender scene says, else 1280x720)")
	flags.StringSliceVar(&o.Devices, "device", render.Devices(), "what the scheduler may choose from: "+strings.Join(render.Devices(), ", "))
	flags.IntVar(&o.CPU, "cpu", 4, "cores of a task that renders on them")
	flags.StringVar(&o.Memory, "memory", "4GiB", "memory of a task")
	flags.StringVar(&o.MaxMemory, "max-memory", "", "learn the memory up to this when frames need more (default: eight times --memory)")
	flags.StringSliceVar(&o.Limits, "limit", nil, "limits that each task holds one of, such as a licence; see caravan limit")
	flags.BoolVar(&o.Denoise, "denoise", false, "denoise each frame as soon as it is there")
	flags.IntVar(&o.Movie, "movie", 0, "join the frames into movie.mp4, so many a second")
	must(cmd.MarkFlagRequired("frames"))
	must(cmd.MarkFlagRequired("out"))
	return cmd
}
