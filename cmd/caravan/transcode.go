package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"caravan/api/preset/transcode"
)

func newTranscodeCmd(s *session) *cobra.Command {
	var (
		preset      presetFlags
		ladder, out string
		o           transcode.Options
	)
	cmd := &cobra.Command{
		Use:   "transcode FILE",
		Short: "Encode a video at several sizes, in chunks side by side",
		Long: `Cut a video into chunks by frames, encode each at all sizes of the ladder, join
them, add the sound, and compare every size with the source.

The video is looked at here, with ffprobe; the nodes must see it and the output
directory under the same paths. What is submitted is an ordinary job file, which
--print shows: begin your own with it.

A size is the shorter side, as in 1080p, or 1280x720; @3M after it asks for that
bit rate instead of constant quality. Sizes above the source's are left out.`,
		Example: `  caravan transcode in.mkv --ladder 1080p,720p --out /data/out
  caravan transcode in.mkv --ladder 1080p@5M,360p@600k --codec h265 --out out --wait
  caravan transcode in.mkv --ladder 720p --encoder nvenc --out out --print > job.yaml`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			source, err := probe(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rungs, skipped, err := transcode.Ladder(ladder, source)
			if err != nil {
				return &usageError{"--ladder: " + err.Error(), "for example --ladder 1080p,720p,360p"}
			}
			if len(skipped) > 0 {
				fmt.Fprintf(s.err, "warning: left out, being larger than the source's %dx%d: %s\n", source.Width, source.Height, strings.Join(skipped, ", "))
			}
			o.Rungs = rungs
			if o.Out, err = filepath.Abs(out); err != nil {
				return err
			}
			text, err := transcode.Job(source, o)
			if err != nil {
				return usagef("%s", err)
			}
			return preset.do(s, cmd, text)
		},
	}
	preset.add(s, cmd)
	flags := cmd.Flags()
	flags.StringVar(&ladder, "ladder", "1080p,720p,480p,360p", "sizes, separated by commas")
	flags.StringVar(&out, "out", "", "directory for the renditions")
	flags.StringVar(&o.Codec, "codec", "h264", "h264 or h265")
	flags.IntVar(&o.Quality, "quality", 23, "constant quality, 0 (best) to 51")
	flags.IntVar(&o.ChunkSeconds, "chunk", 10, "about how many seconds a chunk is")
	flags.StringSliceVar(&o.Encoders, "encoder", []string{"cpu", "nvenc", "vaapi"}, "encoders the scheduler may choose from: "+strings.Join(transcode.Encoders(), ", "))
	flags.IntVar(&o.CPU, "cpu", 2, "cores of a task that encodes on them")
	flags.IntVar(&o.MinPSNR, "min-psnr", 0, "fail a size that is less like the source, in dB")
	must(cmd.MarkFlagRequired("out"))
	return cmd
}

// probe looks at a video with ffprobe.
func probe(ctx context.Context, path string) (transcode.Source, error) {
	path, err := regular(path)
	if err != nil {
		return transcode.Source{}, err
	}
	line := transcode.ProbeCommand(path)
	output, err := exec.CommandContext(ctx, line[0], line[1:]...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return transcode.Source{}, &usageError{"ffprobe is not here, which tells how long the video is", "apt-get install ffmpeg"}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return transcode.Source{}, &usageError{strings.TrimSpace(string(exit.Stderr)), "is it a video that ffmpeg can read?"}
	}
	if err != nil {
		return transcode.Source{}, fmt.Errorf("ffprobe: %w", err)
	}
	source, err := transcode.Probe(path, output)
	if varies, ok := errors.AsType[*transcode.VariableRateError](err); ok {
		return source, &usageError{err.Error(), varies.Hint()}
	}
	if err != nil {
		return source, usagef("%s", err)
	}
	return source, nil
}
