package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// waitDelay bounds how long a program may keep its output open after it was ended.
const waitDelay = 2 * time.Second

// Program is a store in a program of its own: its absolute path and its arguments. It is safe for
// concurrent use.
type Program struct{ Command []string }

var _ Store = Program{}

// Check asks whether the runtime is there.
func (p Program) Check(ctx context.Context) (Runtime, error) {
	a, err := p.ask(ctx, opCheck, Request{})
	if err == nil && a.Runtime == nil {
		err = p.odd(opCheck)
	}
	if err != nil {
		return Runtime{}, err
	}
	return *a.Runtime, nil
}

// Prepare makes a file system.
func (p Program) Prepare(ctx context.Context, r Request) (Prepared, error) {
	a, err := p.ask(ctx, opPrepare, r)
	if err == nil && a.Prepared == nil {
		err = p.odd(opPrepare)
	}
	if err != nil {
		return Prepared{}, err
	}
	return *a.Prepared, nil
}

// Remove drops one.
func (p Program) Remove(ctx context.Context, id string) error {
	_, err := p.ask(ctx, opRemove, Request{ID: id})
	return err
}

func (p Program) odd(op string) error {
	return &Failure{KindRuntime, fmt.Sprintf("%s %s: answered without an answer", p.Command[0], op)}
}

// ask runs the program. All errors are a *Failure.
func (p Program) ask(ctx context.Context, op string, r Request) (Answer, error) {
	if len(p.Command) == 0 {
		return Answer{}, &Failure{KindRuntime, "no program keeps images"}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return Answer{}, &Failure{KindRuntime, err.Error()}
	}
	argv := append(p.Command[1:len(p.Command):len(p.Command)], op)
	cmd := exec.CommandContext(ctx, p.Command[0], argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(raw), &stdout, &stderr
	cmd.WaitDelay = waitDelay
	cmd.Env = os.Environ() // proxies of registries
	err = cmd.Run()
	var a Answer
	if err == nil {
		err = json.Unmarshal(stdout.Bytes(), &a)
	}
	switch {
	case ctx.Err() != nil:
		return a, &Failure{KindRuntime, fmt.Sprintf("%s %s: %v", p.Command[0], op, errors.Join(ctx.Err(), err))}
	case err != nil:
		return a, &Failure{KindRuntime, fmt.Sprintf("%s %s: %v %s", p.Command[0], op, err, strings.TrimSpace(stderr.String()))}
	case a.Failure != nil:
		return a, a.Failure
	}
	return a, nil
}
