package server

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/blob"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// blobs is the BlobService. Blobs are not in the log: each server has a directory of its own,
// and what one lacks it fetches from the others.
type blobs struct {
	pb.UnimplementedBlobServiceServer
	*Server
}

var _ pb.BlobServiceServer = (*blobs)(nil)

// blobChunk is how much data one message carries.
const blobChunk = 256 << 10

// blobTime bounds the copying of a blob between servers.
const blobTime = 2 * time.Minute

// openBlobs opens the server's store, if it is to have one.
func (s *Server) openBlobs() (err error) {
	if s.cfg.BlobDir == "" {
		return nil
	}
	s.blobs, err = blob.New(blob.Config{Dir: s.cfg.BlobDir, Needed: s.neededBlobs})
	return err
}

// neededBlobs are those of jobs that have not ended.
func (s *Server) neededBlobs() map[string]bool {
	needed := make(map[string]bool)
	for j := range s.fsm.Snapshot().Jobs() {
		if w := j.Spec.Workspace; w != nil && !j.State.Ended() {
			needed[w.Digest] = true
		}
	}
	return needed
}

func noBlobs() error {
	return &model.Error{Kind: model.KindUnavailable, Subject: "workspace", Message: "this server keeps no working directories", Hint: "start it with a data directory"}
}

// PutBlob stores a blob here and, unless told otherwise, on the other servers.
func (s *blobs) PutBlob(stream grpc.ClientStreamingServer[pb.PutBlobRequest, pb.PutBlobResponse]) error {
	if s.Server.blobs == nil {
		return noBlobs()
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	h := first.GetHeader()
	if h == nil {
		return &model.Error{Kind: model.KindInvalid, Subject: "header", Message: "a blob begins with its header"}
	}
	if err := s.Server.blobs.Put(h.Digest, h.Bytes, &received{stream: stream}); err != nil {
		return &model.Error{Kind: model.KindInvalid, Subject: "workspace", Message: err.Error()}
	}
	answer := &pb.PutBlobResponse{Servers: []string{s.cfg.ID}}
	if !h.HereOnly {
		answer.Servers = append(answer.Servers, s.spread(stream.Context(), h)...)
	}
	return stream.SendAndClose(answer)
}

// spread gives a blob to the other servers and returns those that have it now. One that
// cannot be reached fetches it when it is asked for it.
func (s *blobs) spread(ctx context.Context, h *pb.BlobHeader) []string {
	ctx, cancel := context.WithTimeout(ctx, blobTime)
	defer cancel()
	others := s.otherServers()
	have := make(chan string, len(others))
	for _, v := range others {
		go func() { // ends with ctx at the latest
			if err := s.give(ctx, v, h); err != nil {
				s.cfg.Logger.Warn("cannot give another server a working directory; it will ask for it", "server", v.ID, "error", err)
				have <- ""
				return
			}
			have <- v.ID
		}()
	}
	var ids []string
	for range others {
		if id := <-have; id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// give sends a blob to one server.
func (s *blobs) give(ctx context.Context, to *model.Server, h *pb.BlobHeader) error {
	conn, err := s.conns.to(to.APIAddress)
	if err != nil {
		return err
	}
	f, err := s.Server.blobs.Open(h.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	stream, err := pb.NewBlobServiceClient(conn).PutBlob(ctx)
	if err != nil {
		return err
	}
	header := &pb.BlobHeader{Digest: h.Digest, Bytes: h.Bytes, HereOnly: true}
	err = stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Header{Header: header}})
	for buf := make([]byte, blobChunk); err == nil; {
		var n int
		if n, err = f.Read(buf); n > 0 {
			err = stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Data{Data: buf[:n]}})
		}
	}
	if !errors.Is(err, io.EOF) { // of the file, or of a server that has it already
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (s *Server) otherServers() []*model.Server {
	var out []*model.Server
	for v := range s.fsm.Snapshot().Servers() {
		if v.ID != s.cfg.ID && v.APIAddress != "" {
			out = append(out, v)
		}
	}
	return out
}

// GetBlob sends a blob, which is fetched from another server if need be.
func (s *blobs) GetBlob(r *pb.GetBlobRequest, stream grpc.ServerStreamingServer[pb.BlobChunk]) error {
	if s.Server.blobs == nil {
		return noBlobs()
	}
	if !r.HereOnly {
		if err := s.fetchBlob(stream.Context(), r.Digest); err != nil {
			return err
		}
	}
	f, err := s.Server.blobs.Open(r.Digest)
	if errors.Is(err, os.ErrNotExist) {
		return missingBlob(r.Digest)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for buf := make([]byte, blobChunk); ; {
		n, err := f.Read(buf)
		if n > 0 {
			if err := stream.Send(&pb.BlobChunk{Data: buf[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func missingBlob(digest string) error {
	return &model.Error{Kind: model.KindNotFound, Subject: "workspace", Message: "no server that answers has the working directory " + digest, Hint: "submit the job again, which sends it anew"}
}

// fetchBlob makes sure that a blob is here. Two that fetch the same do it twice, and the
// second changes nothing.
func (s *Server) fetchBlob(ctx context.Context, digest string) error {
	if s.blobs == nil {
		return noBlobs()
	}
	if s.blobs.Has(digest) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, blobTime)
	defer cancel()
	for _, v := range s.otherServers() {
		conn, err := s.conns.to(v.APIAddress)
		if err != nil {
			return err
		}
		from, err := pb.NewBlobServiceClient(conn).GetBlob(ctx, &pb.GetBlobRequest{Digest: digest, HereOnly: true})
		if err == nil {
			err = s.blobs.Adopt(digest, wire.BlobReader(from))
		}
		if err == nil {
			return nil
		}
		s.cfg.Logger.Debug("another server does not give a working directory", "server", v.ID, "error", err)
	}
	return missingBlob(digest)
}

// received reads the data of a PutBlob.
type received struct {
	stream grpc.ClientStreamingServer[pb.PutBlobRequest, pb.PutBlobResponse]
	rest   []byte
}

// Read implements io.Reader.
func (r *received) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if err != nil {
			return 0, err
		}
		r.rest = m.GetData()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
