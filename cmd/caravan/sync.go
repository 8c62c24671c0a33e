package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/cmd/caravan/internal/packdir"
)

// syncHelp is the help of the flag --sync.
const syncHelp = "pack this directory, but for what .gitignore and .caravanignore name, and begin each task in a copy of it"

// sendChunk is how much of a packed directory goes into one message.
const sendChunk = 256 << 10

// sync packs the directory of a job, if it has one, and sends it unless that is only to be
// tried. What the servers have already is not sent again.
func (s *session) sync(cmd *cobra.Command, file *jobspec.File, send bool) (err error) {
	w := file.Spec.Workspace
	if w == nil {
		return nil
	}
	dir := w.Path
	if !filepath.IsAbs(dir) && file.Name != "<stdin>" {
		dir = filepath.Join(filepath.Dir(file.Name), dir)
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return &usageError{fmt.Sprintf("sync: %s is no directory", dir), "name a directory, by its path from the job file"}
	}
	p, err := packdir.Pack(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.File.Close(), os.Remove(p.File.Name())) }()
	w.Digest, w.Bytes = p.Digest, p.Bytes
	if !send {
		return nil
	}
	return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
		servers, err := sendBlob(ctx, c, p)
		if err != nil {
			return fmt.Errorf("send %s: %w", dir, err)
		}
		fmt.Fprintf(s.err, "sent %s: %d files, %d KiB packed, on %d server(s)\n", dir, p.Files, (p.Bytes+1023)>>10, len(servers))
		return nil
	})
}

// sendBlob gives a packed directory to the servers and returns those that have it.
func sendBlob(ctx context.Context, c *client.Client, p *packdir.Packed) ([]string, error) {
	stream, err := c.Blobs.PutBlob(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Header{Header: &pb.BlobHeader{Digest: p.Digest, Bytes: p.Bytes}}})
	for buf := make([]byte, sendChunk); err == nil; {
		var n int
		if n, err = p.File.Read(buf); n > 0 {
			err = errors.Join(err, stream.Send(&pb.PutBlobRequest{Message: &pb.PutBlobRequest_Data{Data: buf[:n]}}))
		}
	}
	if !errors.Is(err, io.EOF) { // of the file, or of a server that has answered already
		return nil, err
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetServers(), err
}
