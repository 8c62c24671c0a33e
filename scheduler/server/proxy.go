package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"caravan/scheduler/model"
)

// relay copies every message of a stream that another process serves to the
// caller, until either side ends it.
func relay[T any](from grpc.ServerStreamingClient[T], to grpc.ServerStreamingServer[T]) error {
	for {
		m, err := from.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Send(m); err != nil {
			return err
		}
	}
}

// relayBoth joins two bidirectional streams. It returns when the far side has
// ended, which is when its last answer has been passed on.
func relayBoth[Req, Res any](ctx context.Context, first *Req, caller grpc.BidiStreamingServer[Req, Res], far grpc.BidiStreamingClient[Req, Res]) error {
	if err := far.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	go func() { // ends when the caller closes its side or the call's context ends
		for {
			m, err := caller.Recv()
			if err != nil || far.Send(m) != nil {
				_ = far.CloseSend()
				return
			}
		}
	}()
	for {
		m, err := far.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := caller.Send(m); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// unreachable says that a node's agent does not answer.
func unreachable(node string, err error) error {
	return &model.Error{
		Kind: model.KindUnavailable, Subject: node,
		Message: "the agent on " + node + " cannot be reached: " + err.Error(),
		Hint:    "see `caravan node show " + node + "`",
	}
}
