package wire

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// codeOf maps every kind to the gRPC code that clients and the HTTP gateway
// understand; the gateway turns codes into HTTP statuses.
var codeOf = map[model.Kind]codes.Code{
	model.KindInvalid:     codes.InvalidArgument,
	model.KindNotFound:    codes.NotFound,
	model.KindConflict:    codes.FailedPrecondition,
	model.KindOverloaded:  codes.ResourceExhausted,
	model.KindNotLeader:   codes.Unavailable,
	model.KindUnavailable: codes.Unavailable,
	model.KindDenied:      codes.PermissionDenied,
	model.KindAmbiguous:   codes.Aborted,
	model.KindInternal:    codes.Internal,
}

// ErrorToStatus turns an error into a gRPC status that carries kind, subject,
// hint and field faults. What is not a *model.Error becomes internal, unless
// it is a status already.
func ErrorToStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *model.Error
	if !errors.As(err, &e) {
		if s, ok := status.FromError(err); ok {
			return s.Err()
		}
		e = &model.Error{Kind: model.KindInternal, Message: err.Error()}
	}
	detail := &pb.ErrorDetail{Kind: string(e.Kind), Subject: e.Subject, Hint: e.Hint}
	for _, f := range e.Fields {
		detail.Fields = append(detail.Fields, &pb.FieldViolation{Path: f.Path, Message: f.Message, Hint: f.Hint})
	}
	code, ok := codeOf[e.Kind]
	if !ok {
		code = codes.Internal
	}
	s, derr := status.New(code, e.Message).WithDetails(detail)
	if derr != nil {
		return status.Error(code, e.Message)
	}
	return s.Err()
}

// ErrorFromStatus is the inverse of ErrorToStatus. An error that is no status
// or carries no detail comes back as unavailable or internal by its code.
func ErrorFromStatus(err error) *model.Error {
	if err == nil {
		return nil
	}
	var own *model.Error
	if errors.As(err, &own) {
		return own
	}
	s, _ := status.FromError(err)
	e := &model.Error{Kind: model.KindInternal, Message: s.Message()}
	if s.Code() == codes.Unavailable || s.Code() == codes.DeadlineExceeded {
		e.Kind = model.KindUnavailable
	}
	for _, d := range s.Details() {
		if p, ok := d.(*pb.ErrorDetail); ok {
			e.Kind, e.Subject, e.Hint = model.Kind(p.Kind), p.Subject, p.Hint
			for _, f := range p.Fields {
				e.Fields = append(e.Fields, model.FieldError{Path: f.Path, Message: f.Message, Hint: f.Hint})
			}
		}
	}
	return e
}
