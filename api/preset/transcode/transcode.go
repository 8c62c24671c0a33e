// Package transcode writes the job file of a ladder: one video cut into chunks by frames, each
// encoded at several sizes, joined, given its sound and checked.
//
// Chunks are cut by seeking to half a frame before their first one, so that neither rounded time
// stamps nor rates such as 30000/1001 can move a frame from one chunk to the next, and each chunk is
// decoded once for all sizes, which is cheaper than once for each (Ranganathan et al., Warehouse-scale
// video acceleration, ASPLOS 2021).
package transcode

import (
	_ "embed"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"caravan/api/preset"
)

//go:embed job.yaml.tmpl
var jobText string

// Options say what is wanted of a source.
type Options struct {
	// Out is the directory of the renditions, absolute and on all nodes.
	Out string
	// Rungs of the ladder, at least one.
	Rungs []Rung
	// Codec is h264 or h265.
	Codec string
	// Quality is the constant rate factor, less being better: 0 to 51.
	Quality int
	// ChunkSeconds is about how long a chunk is, at least 1.
	ChunkSeconds int
	// Encoders are those that the scheduler may choose from, see Encoders.
	Encoders []string
	// CPU is the number of cores of a task that encodes on them.
	CPU int
	// MinPSNR fails a rendition that is less like its source, in dB; 0 for no such limit.
	MinPSNR int
}

// Encoders lists what Options.Encoders may name.
func Encoders() []string {
	var names []string
	for _, e := range encoders {
		names = append(names, e.name)
	}
	return names
}

// values are what the template is filled in with.
type values struct {
	Source
	Options
	Name, Stem string
	// Parts is the directory of what lies between the steps.
	Parts        string
	Chunk, Gop   int // frames
	Chunks, Last int // number of chunks, and the index of the last one
	// FrameSeconds is how long a frame is, FirstSeconds when the first one begins.
	FrameSeconds, FirstSeconds string
	LastRung                   int
	// Pattern of a rendition's file, Sizes by name, and Geometries by name and pixels.
	Pattern, Sizes, Geometries string
	Variants                   []variant
}

// Job writes the job file of a source.
func Job(s Source, o Options) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	frame, _ := new(big.Rat).Inv(s.Rate).Float64()
	rate, _ := s.Rate.Float64()
	gop := max(1, int(2*rate+0.5))
	v := values{
		Source: s, Options: o, Name: preset.Name("transcode", s.Path),
		Stem: strings.TrimSuffix(filepath.Base(s.Path), filepath.Ext(s.Path)),
		// A whole number of groups of pictures, so that players may switch sizes anywhere.
		Gop: gop, Chunk: max(1, (o.ChunkSeconds+1)/2) * gop,
		FrameSeconds: strconv.FormatFloat(frame, 'g', 15, 64),
		FirstSeconds: strconv.FormatFloat(s.Start, 'f', -1, 64),
		LastRung:     len(o.Rungs) - 1,
	}
	v.Out = strings.TrimSuffix(o.Out, "/") + "/"
	v.Parts = v.Out + ".${CARAVAN_JOB_ID}/"
	v.Pattern = literal(v.Stem) + "_*.mp4"
	v.Last = (s.Frames - 1) / v.Chunk
	v.Chunks = v.Last + 1
	var sizes, geometries []string
	for _, r := range o.Rungs {
		sizes = append(sizes, r.Name)
		geometries = append(geometries, r.Name, fmt.Sprintf("%d:%d", r.Width, r.Height))
	}
	v.Sizes, v.Geometries = strings.Join(sizes, " "), strings.Join(geometries, " ")
	for _, name := range o.Encoders {
		i := slices.IndexFunc(encoders, func(e encoder) bool { return e.name == name })
		v.Variants = append(v.Variants, encoders[i].variant(o))
	}
	t, err := preset.Template("transcode", jobText)
	if err != nil {
		return nil, err
	}
	return preset.Write(t, v)
}

// literal writes a name so that it is no pattern.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

func (o Options) check() error {
	for _, name := range o.Encoders {
		e := slices.IndexFunc(encoders, func(e encoder) bool { return e.name == name })
		if e < 0 {
			return fmt.Errorf("encoder %q is none of %s", name, strings.Join(Encoders(), ", "))
		}
		if encoders[e].codecs[o.Codec] == "" {
			return fmt.Errorf("codec %q is none that encoder %s has: h264, h265", o.Codec, name)
		}
	}
	switch {
	case len(o.Encoders) == 0:
		return fmt.Errorf("no encoder: name some of %s", strings.Join(Encoders(), ", "))
	case len(o.Rungs) == 0:
		return errNoRung
	case o.Quality < 0 || o.Quality > 51:
		return fmt.Errorf("quality %d is not from 0 to 51", o.Quality)
	case o.ChunkSeconds < 1:
		return fmt.Errorf("chunks of %d s are too short", o.ChunkSeconds)
	case o.CPU < 1:
		return fmt.Errorf("%d cores cannot encode", o.CPU)
	case !filepath.IsAbs(o.Out):
		return fmt.Errorf("output directory %q is not absolute", o.Out)
	}
	return nil
}
