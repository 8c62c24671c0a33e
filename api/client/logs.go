package client

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"caravan/api/caravanv1"
)

// ReadLogs yields log data as the request asks. Reconnecting, it goes on at
// the byte after the last one yielded of each allocation and stream, so that
// nothing is missing or doubled; data that rotated away meanwhile is lost. With
// follow, it ends when nothing more can come. An error is yielded last, with a
// nil chunk.
func (c *Client) ReadLogs(ctx context.Context, req *caravanv1.ReadLogsRequest) iter.Seq2[*caravanv1.LogChunk, error] {
	req = proto.CloneOf(req)
	return func(yield func(*caravanv1.LogChunk, error) bool) {
		next := positions{}
		r := resuming[caravanv1.LogChunk]{
			failover: c.failover,
			open: func(ctx context.Context) (grpc.ServerStreamingClient[caravanv1.LogChunk], error) {
				if len(next) > 0 {
					// A tail would now begin somewhere else.
					req.TailLines = 0
				}
				return c.Jobs.ReadLogs(ctx, req)
			},
			take: func(chunk *caravanv1.LogChunk) (fresh, done bool) {
				if chunk = next.unseen(chunk); chunk == nil {
					return false, false
				}
				return true, !yield(chunk, nil)
			},
			complete: func() bool { return true },
		}
		if err := r.run(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// position names one stream of one attempt.
type position struct{ allocation, stream string }

// positions holds the offset of the next byte wanted of every stream. It grows
// with the attempts that wrote something, 16 bytes and two names each.
type positions map[position]int64

// unseen returns the part of a chunk that was not yielded yet, or nil.
func (p positions) unseen(chunk *caravanv1.LogChunk) *caravanv1.LogChunk {
	key := position{chunk.AllocationId, chunk.Stream}
	end := chunk.Offset + int64(len(chunk.Data))
	want, known := p[key]
	if known && end <= want {
		return nil
	}
	if known && chunk.Offset < want {
		chunk = &caravanv1.LogChunk{
			AllocationId: chunk.AllocationId, Stream: chunk.Stream,
			Data: chunk.Data[want-chunk.Offset:], Offset: want,
		}
	}
	p[key] = end
	return chunk
}
