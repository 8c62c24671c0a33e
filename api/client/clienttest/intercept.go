package clienttest

import (
	"context"
	"path"

	"google.golang.org/grpc"
)

// unary applies the faults of unary calls.
func (f *faults) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	x := f.next(path.Base(info.FullMethod))
	switch {
	case x == nil:
		return handle(ctx, req)
	case x.hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case x.after:
		if _, err := handle(ctx, req); err != nil {
			return nil, err
		}
	}
	return nil, x.err
}

// stream applies the faults of streams.
func (f *faults) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	x := f.next(path.Base(info.FullMethod))
	switch {
	case x == nil:
		return handle(srv, ss)
	case x.hang:
		<-ss.Context().Done()
		return ss.Context().Err()
	case x.after:
		return handle(srv, &cutStream{ServerStream: ss, left: x.cut, err: x.err})
	}
	return x.err
}

// cutStream fails once some messages got through.
type cutStream struct {
	grpc.ServerStream
	left int
	err  error
}

func (s *cutStream) SendMsg(m any) error {
	if s.left > 0 {
		if err := s.ServerStream.SendMsg(m); err != nil {
			return err
		}
		s.left--
	}
	if s.left == 0 {
		return s.err
	}
	return nil
}
