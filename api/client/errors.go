package client

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/api/caravanv1"
)

// Kind classes an error. The list is closed and the same on the server's side.
type Kind string

// Kinds of error.
const (
	KindInvalid     Kind = "invalid"
	KindNotFound    Kind = "not-found"
	KindConflict    Kind = "conflict"
	KindOverloaded  Kind = "overloaded"
	KindNotLeader   Kind = "not-leader"
	KindUnavailable Kind = "unavailable"
	KindDenied      Kind = "denied"
	// KindAmbiguous means that the change may or may not have been made. The
	// same request id asked again settles it.
	KindAmbiguous Kind = "ambiguous"
	KindInternal  Kind = "internal"
)

// Exit codes of the command line, by kind of error.
const (
	ExitFailure     = 1 // anything else
	ExitInvalid     = 2 // wrong usage, or a job that cannot be accepted
	ExitNotFound    = 3
	ExitConflict    = 4
	ExitUnavailable = 5 // no server could answer, or it is not known whether one did
	ExitDenied      = 6
)

// Error is what the cluster, or the way to it, has to say against a call.
type Error struct {
	Kind Kind
	// Subject is what the error is about: a job id, a node, a field, an address.
	Subject string
	// Message is one line without a full stop.
	Message string
	// Hint says what the caller can do; may be empty.
	Hint string
	// Fields lists every fault of a refused job.
	Fields []FieldError

	cause error
}

// FieldError is one fault in a job. Path is written as in
// groups[0].variants[1].resources.cpu_milli.
type FieldError struct {
	Path    string
	Message string
	Hint    string
}

// Error returns the message, a line for each field, and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, f := range e.Fields {
		b.WriteString("\n  " + f.Path + ": " + f.Message)
		if f.Hint != "" {
			b.WriteString(" (" + f.Hint + ")")
		}
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the gRPC status error beneath, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// ExitCode returns the code a program should exit with: never 0.
func (e *Error) ExitCode() int {
	switch e.Kind {
	case KindInvalid:
		return ExitInvalid
	case KindNotFound:
		return ExitNotFound
	case KindConflict:
		return ExitConflict
	case KindOverloaded, KindNotLeader, KindUnavailable, KindAmbiguous:
		return ExitUnavailable
	case KindDenied:
		return ExitDenied
	default:
		return ExitFailure
	}
}

// Temporary reports whether the same call may succeed a little later, perhaps
// at another server.
func (e *Error) Temporary() bool {
	return e.Kind == KindUnavailable || e.Kind == KindNotLeader || e.Kind == KindAmbiguous
}

// kindOf serves answers that carry no detail, such as those of gRPC itself or
// of a proxy.
var kindOf = map[codes.Code]Kind{
	codes.InvalidArgument:    KindInvalid,
	codes.NotFound:           KindNotFound,
	codes.AlreadyExists:      KindConflict,
	codes.FailedPrecondition: KindConflict,
	codes.ResourceExhausted:  KindOverloaded,
	codes.Unavailable:        KindUnavailable,
	codes.DeadlineExceeded:   KindUnavailable,
	codes.PermissionDenied:   KindDenied,
	codes.Unauthenticated:    KindDenied,
	codes.Aborted:            KindAmbiguous,
}

// fromStatus turns what gRPC returned into a *Error.
func fromStatus(err error, address string) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	s, _ := status.FromError(err)
	e := &Error{Kind: KindInternal, Message: s.Message(), cause: err}
	if k, ok := kindOf[s.Code()]; ok {
		e.Kind = k
	}
	for _, d := range s.Details() {
		if p, ok := d.(*caravanv1.ErrorDetail); ok {
			return e.with(p)
		}
	}
	switch s.Code() {
	case codes.Unavailable:
		e.Subject = address
		e.Message = "no answer from server " + address + ": " + lastCause(s.Message())
	case codes.DeadlineExceeded:
		e.Subject = address
		e.Message = "server " + address + " did not answer in time"
	case codes.Unimplemented:
		e.Message = "server " + address + " does not know this call: " + s.Message()
		e.Hint = "the server and this program may be of different versions"
	}
	return e
}

// with takes over what the server says about its error.
func (e *Error) with(p *caravanv1.ErrorDetail) *Error {
	if p.Kind != "" {
		e.Kind = Kind(p.Kind)
	}
	e.Subject, e.Hint = p.Subject, p.Hint
	for _, f := range p.Fields {
		e.Fields = append(e.Fields, FieldError{Path: f.Path, Message: f.Message, Hint: f.Hint})
	}
	return e
}

// lastCause keeps the end of a chain like "connection error: desc =
// "transport: ... dial tcp 127.0.0.1:1: connect: connection refused"".
func lastCause(message string) string {
	message = strings.TrimRight(message, `"`)
	if i := strings.LastIndex(message, ": "); i >= 0 {
		return message[i+2:]
	}
	return message
}

// callerGaveUp returns the context's error if that is why a call ended.
func callerGaveUp(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return nil
	}
	if c := status.Code(err); c == codes.Canceled || c == codes.DeadlineExceeded || errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return nil
}
