package wire

import (
	"io"

	pb "caravan/api/caravanv1"
)

// blobStream is the receiving side of GetBlob.
type blobStream interface {
	Recv() (*pb.BlobChunk, error)
}

// BlobReader reads the data of a blob that is being received.
func BlobReader(stream blobStream) io.Reader { return &blobReader{stream: stream} }

type blobReader struct {
	stream blobStream
	rest   []byte
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if err != nil {
			return 0, err
		}
		r.rest = m.Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
