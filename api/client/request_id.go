package client

import (
	"crypto/rand"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// NewRequestID returns a fresh id for a mutating request: 26 letters and
// digits with 130 random bits.
func NewRequestID() string { return rand.Text() }

// withRequestID returns the request to send: a copy with a fresh id if the
// message has the field and the caller left it empty. has reports whether the
// message carries an id, and so may be sent again.
func withRequestID(req any) (out any, has bool) {
	m, ok := req.(proto.Message)
	if !ok {
		return req, false
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || field.Kind() != protoreflect.StringKind {
		return req, false
	}
	if m.ProtoReflect().Get(field).String() != "" {
		return req, true
	}
	m = proto.Clone(m)
	m.ProtoReflect().Set(field, protoreflect.ValueOfString(NewRequestID()))
	return m, true
}
