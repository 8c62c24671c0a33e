package link

import (
	"context"
	"io"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// Blob opens a blob on the server in use. Reading ends with ctx at the latest; Close ends it
// at once. An error of the server makes the next call go to another one.
func Blob(ctx context.Context, s *Servers, digest string) (io.ReadCloser, error) {
	route, err := s.Route()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := route.Blobs.GetBlob(ctx, &pb.GetBlobRequest{Digest: digest})
	if err != nil {
		cancel()
		s.Failed(route, err)
		return nil, err
	}
	return &blobBody{Reader: wire.BlobReader(stream), cancel: cancel, failed: func(err error) { s.Failed(route, err) }}, nil
}

type blobBody struct {
	io.Reader
	cancel context.CancelFunc
	failed func(error)
}

// Read implements io.Reader.
func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.failed(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *blobBody) Close() error {
	b.cancel()
	return nil
}
