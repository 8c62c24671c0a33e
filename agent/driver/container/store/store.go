package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"caravan/agent/driver"
)

// The words that say what to do.
const (
	opCheck   = "check"
	opPrepare = "prepare"
	opRemove  = "remove"
)

// Ways to pull; the zero value is PullMissing.
const (
	PullAlways  = "always"
	PullMissing = "missing"
	PullNever   = "never"
)

// maxMessage bounds a request and an answer, in bytes.
const maxMessage = 4 << 20

// Runtime is a container runtime that is there.
type Runtime struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Request says what file system to make, or to drop.
type Request struct {
	// ID is the allocation that it is for.
	ID    string `json:"id"`
	Image string `json:"image,omitempty"`
	Pull  string `json:"pull,omitempty"`
}

// Prepared is a file system of an allocation's own, and what its image says of it.
type Prepared struct {
	// Image is the full name, with the digest.
	Image       string              `json:"image"`
	FileSystems []driver.FileSystem `json:"file_systems"`
	// Env is KEY=VALUE.
	Env        []string `json:"env,omitempty"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Command    []string `json:"command,omitempty"`
}

// Kind says whose fault a failure is.
type Kind string

const (
	// KindImage: there is no such image, or nothing can be made of it.
	KindImage Kind = "image"
	// KindRegistry: the image could not be fetched; another time or elsewhere it may be.
	KindRegistry Kind = "registry"
	// KindRuntime: the runtime does not answer, or fails.
	KindRuntime Kind = "runtime"
)

// Failure is why something could not be done.
type Failure struct {
	Kind   Kind   `json:"kind"`
	Detail string `json:"detail"`
}

// Error says what is wrong.
func (f *Failure) Error() string { return f.Detail }

// Answer is what the program writes: the failure, or what was asked for.
type Answer struct {
	Failure  *Failure  `json:"failure,omitempty"`
	Runtime  *Runtime  `json:"runtime,omitempty"`
	Prepared *Prepared `json:"prepared,omitempty"`
}

// Store keeps images. Errors that are no *Failure count as the runtime's.
type Store interface {
	Check(ctx context.Context) (Runtime, error)
	Prepare(ctx context.Context, r Request) (Prepared, error)
	// Remove drops what was prepared for an allocation, if anything was.
	Remove(ctx context.Context, id string) error
}

// Serve opens the store and does what a word says. Its error means that no answer could be written.
func Serve(ctx context.Context, open func() (Store, error), op string, in io.Reader, out io.Writer) error {
	var a Answer
	s, err := open()
	if err == nil {
		err = serve(ctx, s, op, in, &a)
	}
	if err != nil {
		if f, ok := errors.AsType[*Failure](err); ok {
			a = Answer{Failure: f}
		} else {
			a = Answer{Failure: &Failure{KindRuntime, err.Error()}}
		}
	}
	return json.NewEncoder(out).Encode(a)
}

func serve(ctx context.Context, s Store, op string, in io.Reader, a *Answer) error {
	if op == opCheck {
		r, err := s.Check(ctx)
		a.Runtime = &r
		return err
	}
	var r Request
	if err := json.NewDecoder(io.LimitReader(in, maxMessage)).Decode(&r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	switch op {
	case opPrepare:
		p, err := s.Prepare(ctx, r)
		a.Prepared = &p
		return err
	case opRemove:
		return s.Remove(ctx, r.ID)
	}
	return fmt.Errorf("unknown word %q (is the agent newer than this program?)", op)
}
