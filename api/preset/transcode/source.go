package transcode

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
)

// Source is what has to be known of a video to cut it into chunks that fit together to the frame.
type Source struct {
	// Path is absolute, and the same on all nodes.
	Path string
	// Bytes is the size of the file, by which nodes tell that they see the same one.
	Bytes int64
	// Width and Height in pixels, of square ones.
	Width, Height int
	// Frames of the first video stream.
	Frames int
	// Rate in frames per second. It is constant.
	Rate *big.Rat
	// Start is the time of the first frame from the beginning of the file, in seconds as ffprobe
	// writes them. An audio stream that begins earlier makes it more than zero.
	Start float64
	// Audio tells whether there is any.
	Audio bool
}

// ProbeCommand is the program and the arguments that print what Probe reads. Counting packets reads
// the whole file but decodes nothing.
func ProbeCommand(path string) []string {
	return []string{
		"ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", path,
	}
}

type probed struct {
	Streams []probedStream
	Format  struct {
		Size  string
		Start string `json:"start_time"`
	}
}

type probedStream struct {
	Type        string `json:"codec_type"`
	Width       int
	Height      int
	Pixel       string `json:"sample_aspect_ratio"`
	Rate        string `json:"r_frame_rate"`
	Average     string `json:"avg_frame_rate"`
	Start       string `json:"start_time"`
	Packets     string `json:"nb_read_packets"`
	Disposition struct {
		Picture int `json:"attached_pic"`
	}
}

// Probe reads what ProbeCommand printed. It refuses what cannot be cut by frames: a file without
// video, and one whose frame rate varies.
func Probe(path string, output []byte) (Source, error) {
	var p probed
	if err := json.Unmarshal(output, &p); err != nil {
		return Source{}, fmt.Errorf("what ffprobe says of %s: %w", path, err)
	}
	s := Source{Path: path}
	var video *probedStream
	for i := range p.Streams {
		switch stream := &p.Streams[i]; stream.Type {
		case "audio":
			s.Audio = true
		case "video":
			if video == nil && stream.Disposition.Picture == 0 {
				video = stream
			}
		}
	}
	if video == nil {
		return Source{}, fmt.Errorf("%s has no video stream", path)
	}
	if err := s.read(video, p.Format.Size, p.Format.Start); err != nil {
		return Source{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Source) read(video *probedStream, size, formatStart string) (err error) {
	if s.Bytes, err = strconv.ParseInt(size, 10, 64); err != nil {
		return fmt.Errorf("its size: %w", err)
	}
	if s.Frames, err = strconv.Atoi(video.Packets); err != nil || s.Frames < 1 {
		return fmt.Errorf("its video stream has %q frames", video.Packets)
	}
	if s.Rate, err = steady(video.Rate, video.Average); err != nil {
		return err
	}
	s.Width, s.Height = video.Width, video.Height
	if pixel, ok := ratio(video.Pixel, ':'); ok {
		wide, _ := new(big.Rat).Mul(pixel, new(big.Rat).SetInt64(int64(s.Width))).Float64()
		s.Width = int(wide + 0.5)
	}
	if s.Width < 2 || s.Height < 2 {
		return fmt.Errorf("its video is %dx%d pixels", s.Width, s.Height)
	}
	// ffmpeg seeks from the beginning of the file, which is that of its earliest stream.
	s.Start = seconds(video.Start) - seconds(formatStart)
	return nil
}

// steady returns the frame rate if it does not vary: then the least rate in which all frames fall
// on the grid, which ffprobe calls r_frame_rate, is also the mean rate.
func steady(grid, average string) (*big.Rat, error) {
	r, ok := ratio(grid, '/')
	mean, known := ratio(average, '/')
	if !ok || !known {
		return nil, fmt.Errorf("its frame rate is not known (%s, on average %s)", grid, average)
	}
	off := new(big.Rat).Quo(mean, r)
	off.Sub(off, big.NewRat(1, 1)).Abs(off)
	if off.Cmp(big.NewRat(1, 100)) > 0 {
		return nil, &VariableRateError{Grid: grid, Average: average}
	}
	return r, nil
}

// VariableRateError refuses a source whose frames are not evenly spaced.
type VariableRateError struct{ Grid, Average string }

func (e *VariableRateError) Error() string {
	return fmt.Sprintf("its frame rate varies (%s a second, on average %s), so that it cannot be cut by frames", e.Grid, e.Average)
}

// Hint tells how to mend it.
func (e *VariableRateError) Hint() string {
	return "make it constant first: ffmpeg -i IN -vf fps=30 -c:v ffv1 -c:a copy constant.mkv"
}

// ratio reads a/b or a:b with both above zero.
func ratio(text string, separator rune) (*big.Rat, bool) {
	var a, b int64
	if n, err := fmt.Sscanf(text, "%d"+string(separator)+"%d", &a, &b); err != nil || n != 2 || a <= 0 || b <= 0 {
		return nil, false
	}
	return big.NewRat(a, b), true
}

// seconds reads a time; where a container has none, streams begin at zero.
func seconds(text string) float64 {
	t, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return t
}
