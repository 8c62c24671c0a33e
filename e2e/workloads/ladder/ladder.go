// Package ladder is the reference transcode job: its source, its job file, and
// the proof that what came out is right. The encoder settings make a chunked
// encode decode to the same frames as a whole-file one, so the proof is exact.
package ladder

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed ladder.yaml
var jobFile string

// Frames is how many frames the source and every rung have.
const Frames = 288

// rungs are the sizes of the ladder, in the order of the job's output files.
var rungs = [...]string{"640:360", "426:240", "320:180"}

// Prepare makes the source clip and the job file in dir, and returns the job
// file's path. The clip is 12 s at 24 frames/s with a sine tone.
func Prepare(ctx context.Context, dir string) (job string, err error) {
	for _, sub := range []string{"chunks", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return "", err
		}
	}
	if err := ffmpeg(ctx, "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", "12", "-c:v", "ffv1", "-g", "1", "-pix_fmt", "yuv420p", "-c:a", "flac", filepath.Join(dir, "src.mkv")); err != nil {
		return "", err
	}
	job = filepath.Join(dir, "ladder.yaml")
	return job, os.WriteFile(job, []byte(strings.ReplaceAll(jobFile, "@DIR@", dir)), 0o644)
}

// Proof is what was compared for one rung.
type Proof struct {
	// Size is width:height.
	Size string
	// Frames is how many frames were decoded.
	Frames int
	// Got and Want are digests over the MD5 of each decoded frame.
	Got, Want string
}

// Verify encodes every rung from the whole source in one undisturbed process
// and compares its decoded frames with those of the job's result. An error
// means that the comparison could not be made; a difference is in the proofs.
func Verify(ctx context.Context, dir string) ([]Proof, error) {
	var proofs []Proof
	for i, size := range rungs {
		whole := filepath.Join(dir, fmt.Sprintf("whole_%d.mp4", i))
		if err := ffmpeg(ctx, "-xerror", "-i", filepath.Join(dir, "src.mkv"), "-an", "-vf", "scale="+size,
			"-c:v", "libx264", "-preset", "veryfast", "-qp", "23", "-bf", "0", "-g", "48", "-keyint_min", "48",
			"-sc_threshold", "0", "-threads", "1", "-x264-params", "rc-lookahead=0:mbtree=0:weightp=0:aq-mode=0",
			"-flags", "+cgop", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", whole); err != nil {
			return nil, err
		}
		want, n, err := frameDigest(ctx, whole)
		if err != nil {
			return nil, err
		}
		if n != Frames {
			return nil, fmt.Errorf("the reference encode at %s has %d frames, want %d", size, n, Frames)
		}
		got, n, err := frameDigest(ctx, filepath.Join(dir, "out", fmt.Sprintf("rung_%d.mp4", i)))
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, Proof{Size: size, Frames: n, Got: got, Want: want})
	}
	return proofs, nil
}

// OK reports whether the rung is exactly what it should be.
func (p Proof) OK() bool { return p.Got == p.Want && p.Frames == Frames }

func ffmpeg(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-loglevel", "error", "-y"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w\n%s", err, out)
	}
	return nil
}

// frameDigest returns one MD5 over the decoded frames of a file, and their number.
func frameDigest(ctx context.Context, file string) (digest string, frames int, err error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-i", file, "-map", "0:v", "-f", "framemd5", "-")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", 0, fmt.Errorf("decoding %s: %w\n%s", file, err, stderr.Bytes())
	}
	h := newDigest()
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		// stream, dts, pts, duration, size, hash: only the hash is about pixels.
		fields := strings.Split(line, ",")
		h.add(strings.TrimSpace(fields[len(fields)-1]))
	}
	return h.sum(), h.n, nil
}
