package ladder

import (
	"crypto/md5" //nolint:gosec // compares frames, guards nothing
	"encoding/hex"
	"hash"
)

// digest folds the hashes of single frames into one.
type digest struct {
	h hash.Hash
	n int
}

func newDigest() *digest { return &digest{h: md5.New()} } //nolint:gosec // as above

func (d *digest) add(frame string) {
	d.h.Write([]byte(frame))
	d.n++
}

func (d *digest) sum() string { return hex.EncodeToString(d.h.Sum(nil)) }
