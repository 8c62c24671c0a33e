package client

import (
	"testing"

	"pgregory.net/rapid"

	"caravan/api/caravanv1"
)

// However a stream is cut into chunks, and however much of it each new
// connection repeats, every byte comes out once and in order.
func TestRepeatedLogDataComesOutOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "text")
		next := positions{}
		var got []byte
		for len(got) < len(text) {
			// A connection sends from the start, in chunks, and may break anywhere.
			for at := 0; at < len(text); {
				n := rapid.IntRange(1, 50).Draw(t, "chunk")
				end := min(len(text), at+n)
				chunk := next.unseen(&caravanv1.LogChunk{AllocationId: "a", Stream: "stdout", Data: text[at:end], Offset: int64(at)})
				if chunk != nil {
					if chunk.Offset != int64(len(got)) {
						t.Fatalf("offset %d after %d bytes", chunk.Offset, len(got))
					}
					got = append(got, chunk.Data...)
				}
				at = end
				if rapid.IntRange(0, 9).Draw(t, "break") == 0 {
					break
				}
			}
		}
		if string(got) != string(text) {
			t.Fatalf("got %q, want %q", got, text)
		}
	})
}
