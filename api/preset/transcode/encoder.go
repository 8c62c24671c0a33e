package transcode

import (
	"fmt"
	"strings"
)

// encoder is one way to encode.
type encoder struct {
	name   string
	codecs map[string]string // codec -> ffmpeg's name of the encoder
	// speed relative to cores, a first guess for the scheduler's choice between variants.
	speed string
	// before the input, between scaling and encoding, and after the encoder's name.
	input, upload string
	options       func(Options, Rung) string
	resources     func(Options) string
	note          string
}

var encoders = []encoder{
	{
		name: "cpu", codecs: map[string]string{"h264": "libx264", "h265": "libx265"}, speed: "1",
		note: "On cores.", upload: ",format=yuv420p",
		options: func(o Options, r Rung) string {
			threads := fmt.Sprintf("-threads %d", o.CPU)
			closed := " -sc_threshold 0 -flags +cgop"
			if o.Codec == "h265" {
				closed = fmt.Sprintf(" -x265-params log-level=error:scenecut=0:open-gop=0:pools=%d", o.CPU)
			}
			return "-preset veryfast " + rate(r, fmt.Sprintf("-crf %d", o.Quality)) + " " + threads + closed
		},
		resources: func(o Options) string {
			return fmt.Sprintf("{cpu: %d, memory: %s}", o.CPU, memory(o))
		},
	},
	{
		name: "nvenc", codecs: map[string]string{"h264": "h264_nvenc", "h265": "hevc_nvenc"}, speed: "4",
		note:  "On the encoder of an NVIDIA GPU: a session for each size.",
		input: "-hwaccel cuda ", upload: ",format=yuv420p",
		options: func(o Options, r Rung) string {
			return "-preset p5 " + rate(r, fmt.Sprintf("-rc vbr -cq %d -b:v 0", o.Quality)) + " -no-scenecut 1 -forced-idr 1"
		},
		resources: func(o Options) string {
			return fmt.Sprintf("{cpu: 2, memory: %s, devices: [{gpu: 0.1, vendor: nvidia, encoder_sessions: %d, encode: 0.25, decode: 0.25}]}", memory(o), len(o.Rungs))
		},
	},
	{
		name: "vaapi", codecs: map[string]string{"h264": "h264_vaapi", "h265": "hevc_vaapi"}, speed: "2",
		note:   "On a quarter of an AMD GPU, such as an S7150's virtual function.",
		input:  `-vaapi_device "$(ls /dev/dri/renderD* | head -n 1)" `,
		upload: ",format=nv12,hwupload",
		options: func(o Options, r Rung) string {
			return rate(r, fmt.Sprintf("-rc_mode CQP -qp %d", o.Quality))
		},
		resources: func(o Options) string {
			return fmt.Sprintf("{cpu: 2, memory: %s, devices: [{gpu: 0.25, vendor: amd}]}", memory(o))
		},
	},
	{
		name: "fpga", codecs: map[string]string{"h264": "mpsoc_vcu_h264", "h265": "mpsoc_vcu_hevc"}, speed: "6",
		upload: ",format=yuv420p",
		note:   "On an FPGA that runs an encoder, with the ffmpeg that its maker ships.",
		options: func(o Options, r Rung) string {
			return rate(r, fmt.Sprintf("-control-rate 0 -qp-mode 0 -slice-qp %d", o.Quality))
		},
		resources: func(o Options) string {
			return fmt.Sprintf("{cpu: 2, memory: %s, devices: [{fpga: 1, image: %s-encoder}]}", memory(o), o.Codec)
		},
	},
}

// rate is a bit rate where the rung has one, else the quality.
func rate(r Rung, quality string) string {
	if r.Bitrate != "" {
		return "-b:v " + r.Bitrate + " -maxrate " + r.Bitrate + " -bufsize " + r.Bitrate
	}
	return quality
}

// memory of an encoding task: frames in flight grow with their size.
func memory(o Options) string {
	largest := 0
	for _, r := range o.Rungs {
		largest = max(largest, r.Width*r.Height)
	}
	switch {
	case largest > 2560*1440:
		return "4GiB"
	case largest > 1280*720:
		return "2GiB"
	}
	return "1GiB"
}

// variant is an encoder as the template shows it.
type variant struct {
	Name, Note, Speed, Resources, Run string
}

func (e *encoder) variant(o Options) variant {
	return variant{Name: e.name, Note: e.note, Speed: e.speed, Resources: e.resources(o), Run: e.script(o)}
}

// script decodes a chunk once and encodes it at every size.
func (e *encoder) script(o Options) string {
	var b strings.Builder
	b.WriteString("start=$(awk \"BEGIN { s = $FIRST + ($CARAVAN_INDEX * $CHUNK - 0.5) * $FRAME; printf \\\"%.6f\\\", (s > 0 ? s : 0) }\")\n")
	b.WriteString("frames=$((FRAMES - CARAVAN_INDEX * CHUNK))\n")
	b.WriteString("[ $frames -le $CHUNK ] || frames=$CHUNK\n")
	fmt.Fprintf(&b, "ffmpeg -hide_banner -nostdin -loglevel error -y -xerror %s-ss $start -i \"$SOURCE\" -filter_complex \\\n  \"[0:v:0]setpts=PTS-STARTPTS,split=%d", e.input, len(o.Rungs))
	for i := range o.Rungs {
		fmt.Fprintf(&b, "[s%d]", i)
	}
	for i, r := range o.Rungs {
		fmt.Fprintf(&b, ";[s%d]scale=%d:%d,setsar=1%s[v%d]", i, r.Width, r.Height, e.upload, i)
	}
	b.WriteString("\"")
	for i, r := range o.Rungs {
		fmt.Fprintf(&b, " \\\n  -map \"[v%d]\" -frames:v $frames -fps_mode passthrough -c:v %s -g $GOP %s \"chunk_${CARAVAN_INDEX}_%s.mp4\"",
			i, e.codecs[o.Codec], e.options(o, r), r.Name)
	}
	return b.String()
}
