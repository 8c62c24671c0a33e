package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/consensus"
	"caravan/scheduler/fsm"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Propose stamps a command with this server's clock, replicates it, and
// returns the state machine's answer. It is for the leader; elsewhere it
// returns a not-leader error. A refusal by the state machine is a *model.Error.
func (s *Server) Propose(ctx context.Context, c *pb.Command) (state.Answer, error) {
	c.TimeMs = time.Now().UnixMilli()
	data, err := proto.Marshal(c)
	if err != nil {
		return state.Answer{}, err
	}
	answer, _, err := s.node.Propose(ctx, data)
	if err != nil {
		return state.Answer{}, translate(err)
	}
	r := answer.(fsm.Result)
	if r.Err != nil {
		return r.Answer, r.Err
	}
	return r.Answer, nil
}

// read returns a snapshot that holds everything acknowledged before the call.
func (s *Server) read(ctx context.Context) (*state.Snapshot, error) {
	snap, err := consensus.Read(ctx, s.node, s.fsm.Snapshot)
	return snap, translate(err)
}

// requestID refuses a mutation without an idempotency key: a client that
// cannot repeat a call safely would have to guess what became of it.
func requestID(id string) error {
	if id == "" || len(id) > state.MaxRequestID {
		return &model.Error{
			Kind: model.KindInvalid, Subject: "request_id", Message: "the request has no usable request_id",
			Hint: "send 1 to 64 characters that are new for each request and the same when it is repeated",
		}
	}
	return nil
}
