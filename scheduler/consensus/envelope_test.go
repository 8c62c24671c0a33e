package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestEnvelopeRoundTrip(t *testing.T) {
	for name, commands := range map[string][][]byte{
		"one":         {[]byte("submit")},
		"one empty":   {{}},
		"several":     {[]byte("a"), {}, []byte("ccc"), bytes.Repeat([]byte{0xff}, 300)},
		"the maximum": slices.Repeat([][]byte{{7}}, maxEntryCommandsLimit),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeEnvelope(appendEnvelope(nil, commands))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, commands, bytes.Equal) {
				t.Fatalf("%d commands came back as %d", len(commands), len(got))
			}
		})
	}
}

// reseal gives a hand-made body a correct checksum.
func reseal(body []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(body), checksum(body))
}

func TestEnvelopeRefuses(t *testing.T) {
	good := appendEnvelope(nil, [][]byte{[]byte("abc"), []byte("d")})
	for _, tc := range []struct {
		name  string
		data  []byte
		want  string
		other bool // not damage
	}{
		{name: "nothing", data: nil, want: "0 bytes"},
		{name: "a cut header", data: good[:envelopeOverhead-1], want: "6 bytes"},
		{name: "a missing last byte", data: good[:len(good)-1], want: "checksum"},
		{name: "an appended byte", data: append(slices.Clone(good), 0), want: "checksum"},
		{name: "a newer version", data: reseal([]byte{2, 0, 1, 0, 0, 0, 0}), want: "version 2, this program knows only 1", other: true},
		{name: "no command", data: reseal([]byte{1, 0, 0}), want: "0 commands"},
		{name: "more commands than fit", data: reseal([]byte{1, 0xff, 0xff, 0, 0, 0, 0}), want: "65535 commands in 4 bytes"},
		{name: "a command beyond the end", data: reseal([]byte{1, 0, 1, 0, 0, 0, 2, 'x'}), want: "claims 2 bytes, 1 are left"},
		{name: "a length near 4 GiB", data: reseal([]byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff}), want: "claims 4294967295 bytes"},
		{name: "a second command without a length", data: reseal([]byte{1, 0, 2, 0, 0, 0, 2, 'x', 'y', 0, 0}), want: "command 1 of 2 has no length"},
		{name: "bytes behind the last command", data: reseal([]byte{1, 0, 1, 0, 0, 0, 0, 'z'}), want: "1 bytes behind"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decodeEnvelope(tc.data)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error is %v, want one with %q", err, tc.want)
			}
			if errors.Is(err, errEnvelope) == tc.other {
				t.Fatalf("damage and other versions need different remedies: %v", err)
			}
		})
	}
}

func TestEnvelopeSeesEveryFlippedBit(t *testing.T) {
	good := appendEnvelope(nil, [][]byte{[]byte("start task 7"), []byte("stop task 9")})
	for bit := range 8 * len(good) {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeEnvelope(bad); err == nil {
			t.Fatalf("bit %d flipped, and nobody noticed", bit)
		}
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendEnvelope(nil, [][]byte{[]byte("a"), {}, []byte("bc")})[envelopeHeader:])
	f.Add([]byte{1, 0, 1, 0, 0, 0, 2, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		// As it came, and with a right checksum, to get past that.
		for _, d := range [][]byte{data, reseal(data)} {
			commands, err := decodeEnvelope(d)
			if err == nil && !bytes.Equal(appendEnvelope(nil, commands), d) {
				t.Fatalf("%x decodes, but encodes differently", d)
			}
		}
	})
}
