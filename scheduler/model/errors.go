package model

import "strings"

// Kind classes an error. The list is closed and shared by server, SDK and CLI.
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
	KindAmbiguous   Kind = "ambiguous"
	KindInternal    Kind = "internal"
)

// Error is an error that a user will read: what class it is of, what it is
// about, what is wrong, and what to do about it.
type Error struct {
	Kind    Kind
	Subject string
	Message string
	Hint    string
	// Fields lists every fault of a refused job spec.
	Fields []FieldError
}

// FieldError is one fault in a job spec. Path is written as in
// groups[0].variants[1].resources.cpu_milli.
type FieldError struct {
	Path    string
	Message string
	Hint    string
}

// Error returns one line, or one line per field.
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

// NotFound says that the named thing does not exist.
func NotFound(what, subject, hint string) *Error {
	return &Error{Kind: KindNotFound, Subject: subject, Message: "no " + what + " " + subject, Hint: hint}
}

// Conflict says that the thing is in a state that does not allow the request.
func Conflict(subject, message, hint string) *Error {
	return &Error{Kind: KindConflict, Subject: subject, Message: message, Hint: hint}
}
