package transcode

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"caravan/api/jobspec"
)

// The scenario file has one directive, job: what ffprobe said of the source below it, and options as
// arguments; it prints the job file, or the error.
func TestJobs(t *testing.T) {
	datadriven.RunTest(t, "testdata/jobs.txt", func(t *testing.T, d *datadriven.TestData) string {
		ladder, o := "360p", Options{Out: "/out", Codec: "h264", Quality: 23, ChunkSeconds: 10, Encoders: []string{"cpu"}, CPU: 2}
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "ladder":
				ladder = strings.Join(a.Vals, ",")
			case "codec":
				o.Codec = a.Vals[0]
			case "encoders":
				o.Encoders = a.Vals
			case "psnr":
				a.Scan(t, 0, &o.MinPSNR)
			case "chunk":
				a.Scan(t, 0, &o.ChunkSeconds)
			default:
				d.Fatalf(t, "no argument %s", a.Key)
			}
		}
		source, err := Probe("/data/in.mkv", []byte(d.Input))
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		rungs, skipped, err := Ladder(ladder, source)
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		o.Rungs = rungs
		text, err := Job(source, o)
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		if _, err := jobspec.Parse("job.yaml", text); err != nil {
			t.Errorf("%s: what was written is no job file: %v", d.Pos, err)
		}
		if len(skipped) > 0 {
			return fmt.Sprintf("skipped: %v\n%s", skipped, text)
		}
		return string(text)
	})
}

func TestLadders(t *testing.T) {
	wide := Source{Width: 1920, Height: 1080}
	for _, c := range []struct {
		text   string
		source Source
		want   string
	}{
		{"1080p,720p,480p", wide, "[{1080p 1920 1080 } {720p 1280 720 } {480p 854 480 }] []"},
		{"2160p, 640x360@800k", wide, "[{640x360 640 360 800k}] [2160p]"},
		{"720p", Source{Width: 1080, Height: 1920}, "[{720p 720 1280 }] []"},
		{"2160p", wide, "every rung is larger than the source, which is 1920x1080"},
		{"720", wide, `rung "720" is none of 1080p, 1280x720 and either with a bit rate, as in 720p@3M`},
		{"720p,720p@1M", wide, "rung 720p is there twice"},
		{"641x361", wide, "rung 641x361: encoders want even numbers"},
		{"8p", wide, "rung 8p: a side has 16 to 16384 pixels"},
	} {
		rungs, skipped, err := Ladder(c.text, c.source)
		got := fmt.Sprint(rungs, skipped)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s of %dx%d: %s\nwant %s", c.text, c.source.Width, c.source.Height, got, c.want)
		}
	}
}

func TestAVariableRateIsToldApart(t *testing.T) {
	output := []byte(`{"streams":[{"codec_type":"video","width":640,"height":360,"r_frame_rate":"60/1","avg_frame_rate":"2997/100","nb_read_packets":"9"}],"format":{"size":"7"}}`)
	_, err := Probe("in.mp4", output)
	if varies, ok := errors.AsType[*VariableRateError](err); !ok || varies.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// TestWhatAUserNamesIsNeverShellText: whatever a path is made of, the job file says exactly that path, and says
// it in the environment alone.
func TestWhatAUserNamesIsNeverShellText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		odd := rapid.StringMatching(`[a-z'"$\x60 \\;:#&*?\[\]{}!%@é-]{1,20}`)
		path := "/data/" + odd.Draw(t, "source") + ".mkv"
		out := "/out/" + odd.Draw(t, "out")
		source := Source{Path: path, Bytes: 7, Width: 640, Height: 360, Frames: 100, Rate: big.NewRat(24, 1), Audio: true}
		rungs, _, err := Ladder("360p", source)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Job(source, Options{Out: out, Rungs: rungs, Codec: "h264", Quality: 23, ChunkSeconds: 2, Encoders: []string{"cpu"}, CPU: 2})
		if err != nil {
			t.Fatal(err)
		}
		file, err := jobspec.Parse("job.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, g := range file.Spec.Groups {
			if s, ok := g.Env["SOURCE"]; ok && s != path {
				t.Errorf("group %s reads %q, want %q", g.Name, s, path)
			}
			for _, v := range g.Variants {
				command, err := json.Marshal(append(v.Command, g.Verify...))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(command), "/data/") || strings.Contains(string(command), "/out/") {
					t.Errorf("group %s runs %s", g.Name, command)
				}
			}
		}
	})
}
