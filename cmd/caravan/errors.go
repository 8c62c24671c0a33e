package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"caravan/api/client"
	"caravan/api/jobspec"
)

// usageError is a command line that makes no sense.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

// usagef makes a usageError without a hint.
func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// exitCode ends the program with a code and without a message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// interrupted is the exit code after Ctrl-C.
const interrupted exitCode = 130

// report writes an error for people and returns the exit code for it.
func (s *session) report(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if bad, ok := errors.AsType[*jobspec.Errors](err); ok {
		fmt.Fprintln(s.err, bad.Error())
		return client.ExitInvalid
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		s.say(usage.message, usage.hint)
		return client.ExitInvalid
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return s.reportClient(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.say(fmt.Sprintf("no answer from %s within %s", strings.Join(s.addresses(), ", "), s.timeout), "wait longer with --timeout")
		return client.ExitUnavailable
	case errors.Is(err, context.Canceled):
		return int(interrupted)
	}
	s.say(err.Error(), "")
	return client.ExitFailure
}

// reportClient writes what the cluster refused, with every fault of a job.
func (s *session) reportClient(e *client.Error) int {
	hint := e.Hint
	if e.Kind == client.KindUnavailable && hint == "" {
		hint = "is a server running there? Start one with `caravan dev`, or name another with --server or CARAVAN_SERVER"
	}
	s.say(e.Message, "")
	for _, f := range e.Fields {
		line := "  " + f.Path + ": " + f.Message
		if f.Hint != "" {
			line += " (" + f.Hint + ")"
		}
		fmt.Fprintln(s.err, line)
	}
	s.hint(hint)
	return e.ExitCode()
}

// say writes an error in one line, and a hint in another.
func (s *session) say(message, hint string) {
	label := "error:"
	if _, tty := s.terminal(s.err); tty && !s.noColor && s.env("NO_COLOR") == "" {
		label = "\x1b[31merror:\x1b[0m"
	}
	fmt.Fprintf(s.err, "%s %s\n", label, message)
	s.hint(hint)
}

func (s *session) hint(hint string) {
	if hint != "" {
		fmt.Fprintf(s.err, "hint: %s\n", hint)
	}
}
