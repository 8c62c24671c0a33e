package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/wire"
)

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func putBlob(ctx context.Context, c pb.BlobServiceClient, h *pb.BlobHeader, data []byte) (*pb.PutBlobResponse, error) {
	stream, err := c.PutBlob(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Header{Header: h}})
	for len(data) > 0 && err == nil {
		n := min(len(data), 1000)
		err = stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Data{Data: data[:n]}})
		data = data[n:]
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.CloseAndRecv()
}

func getBlob(ctx context.Context, c pb.BlobServiceClient, r *pb.GetBlobRequest) ([]byte, error) {
	stream, err := c.GetBlob(ctx, r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(wire.BlobReader(stream))
}

func TestAWorkingDirectoryIsOnEveryServerAndOneThatLacksItAsksTheOthers(t *testing.T) {
	ctx := within(t, time.Minute)
	a := start(t, "a")
	conn := dial(t, a.Addr())
	c := pb.NewBlobServiceClient(conn)
	data := bytes.Repeat([]byte("workspace"), 100_000)
	digest := sum(data)

	spec := helloSpec("synced", 1)
	spec.Workspace = &pb.Workspace{Digest: digest, Bytes: int64(len(data))}
	submit := func(id string) error {
		_, err := pb.NewJobServiceClient(conn).SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: id, Spec: spec})
		return err
	}
	if err := submit("early"); status.Code(err) != codes.NotFound {
		t.Errorf("a job whose directory no server has: %v", err)
	}
	if _, err := putBlob(ctx, c, &pb.BlobHeader{Digest: digest, Bytes: int64(len(data))}, data[1:]); status.Code(err) != codes.InvalidArgument {
		t.Errorf("other data than announced: %v", err)
	}
	if r, err := putBlob(ctx, c, &pb.BlobHeader{Digest: digest, Bytes: int64(len(data))}, data); err != nil || len(r.Servers) != 1 {
		t.Fatalf("%v, %v", r, err)
	}
	if err := submit("then"); err != nil {
		t.Error(err)
	}

	// b comes later and does not have it.
	b := start(t, "b", a.Addr())
	other := pb.NewBlobServiceClient(dial(t, b.Addr()))
	for len(b.otherServers()) == 0 || len(a.otherServers()) == 0 {
		if ctx.Err() != nil {
			t.Fatal("the servers do not know each other")
		}
		sub := b.feed.Subscribe(feed.Any)
		select {
		case <-sub.C:
		case <-ctx.Done():
		}
		sub.Close()
	}
	if _, err := getBlob(ctx, other, &pb.GetBlobRequest{Digest: digest, HereOnly: true}); status.Code(err) != codes.NotFound {
		t.Errorf("b has it already: %v", err)
	}
	for _, hereOnly := range []bool{false, true} {
		if got, err := getBlob(ctx, other, &pb.GetBlobRequest{Digest: digest, HereOnly: hereOnly}); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	// What is sent to one now is on both.
	more := append(data, "more"...)
	r, err := putBlob(ctx, other, &pb.BlobHeader{Digest: sum(more), Bytes: int64(len(more))}, more)
	if err != nil || len(r.Servers) != 2 {
		t.Fatalf("%v, %v", r, err)
	}
	if got, err := getBlob(ctx, c, &pb.GetBlobRequest{Digest: sum(more), HereOnly: true}); err != nil || !bytes.Equal(got, more) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A repeated one is answered though its data is not read.
	if _, err := putBlob(ctx, c, &pb.BlobHeader{Digest: sum(more), Bytes: int64(len(more)), HereOnly: true}, more); err != nil {
		t.Error(err)
	}
}
