package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"caravan/api/client"
	"caravan/cmd/caravan/internal/output"
	"caravan/cmd/caravan/internal/view"
)

// defaultServer is where a server on this host listens.
const defaultServer = "127.0.0.1:7300"

// session is what a command sees of the world, and the global flags. Tests
// replace its fields.
type session struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time
	// terminal tells whether a stream is one; see terminalOf.
	terminal func(stream any) (*os.File, bool)
	// interrupts delivers Ctrl-C until stop is called.
	interrupts func() (c <-chan os.Signal, stop func())
	// dialOptions reach a server in memory.
	dialOptions []grpc.DialOption

	servers []string
	format  output.Format
	noColor bool
	timeout time.Duration
	// started tells errors of usage from errors of the work.
	started bool
}

func newSession() *session {
	return &session{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		env: os.Getenv, now: time.Now, terminal: terminalOf, interrupts: notifyInterrupts,
	}
}

// terminalOf returns the file behind a stream if it is a terminal.
func terminalOf(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

func notifyInterrupts() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// connect returns a client for the servers named by flag, environment or default.
func (s *session) connect() (*client.Client, error) {
	return s.connectWith(client.Config{OnRetry: s.sayRetry()})
}

func (s *session) connectWith(cfg client.Config) (*client.Client, error) {
	cfg.Addresses, cfg.DialOptions = s.addresses(), s.dialOptions
	return client.New(cfg)
}

func (s *session) addresses() []string {
	if len(s.servers) > 0 {
		return s.servers
	}
	if list := splitList(s.env("CARAVAN_SERVER")); len(list) > 0 {
		return list
	}
	return []string{defaultServer}
}

// sayRetry tells a person once that the command is not stuck but trying.
func (s *session) sayRetry() func(string, *client.Error) {
	var said sync.Once
	return func(_ string, e *client.Error) {
		if _, tty := s.terminal(s.err); tty {
			said.Do(func() { fmt.Fprintf(s.err, "%s; trying again\n", e.Message) })
		}
	}
}

// ask runs a command's unary calls within --timeout.
func (s *session) ask(cmd *cobra.Command, do func(context.Context, *client.Client) error) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	return do(ctx, c)
}

// show writes an answer in the chosen format: names are for -o name, table is
// for people.
func (s *session) show(m proto.Message, names []string, table func(io.Writer, view.Style)) error {
	switch s.format {
	case output.JSON, output.YAML:
		return output.Message(s.out, s.format, m)
	case output.Name:
		for _, n := range names {
			if _, err := fmt.Fprintln(s.out, n); err != nil {
				return err
			}
		}
		return nil
	default:
		view.Scrub(m)
		table(s.out, s.style())
		return nil
	}
}

// human reports whether the output is meant for people.
func (s *session) human() bool { return s.format == output.Table || s.format == output.Wide }

func (s *session) style() view.Style {
	_, tty := s.terminal(s.out)
	return view.Style{
		Color: tty && !s.noColor && s.env("NO_COLOR") == "",
		Wide:  s.format == output.Wide,
		Now:   s.now(),
	}
}

// owner is the name that jobs are submitted under.
func (s *session) owner() string {
	if name := s.env("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// execute runs the command line and returns the exit code.
func (s *session) execute(args []string) int {
	root := newRootCmd(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(context.Background())
	if err != nil && !s.started && !errors.As(err, new(*client.Error)) {
		err = wrongUsage(root, args, err)
	}
	return s.report(err)
}

// wrongUsage makes cobra's complaint an error of ours, with the command that
// was probably meant.
func wrongUsage(root *cobra.Command, args []string, err error) error {
	if usage, ok := errors.AsType[*usageError](err); ok {
		return usage
	}
	cmd, rest, _ := root.Find(args)
	if cmd == root && len(rest) > 0 {
		if near := root.SuggestionsFor(rest[0]); len(near) > 0 {
			return &usageError{err.Error(), "did you mean `caravan " + near[0] + "`?"}
		}
	}
	message := err.Error()
	if flags, ok := strings.CutPrefix(message, "if any flags in the group ["); ok {
		flags, _, _ = strings.Cut(flags, "]")
		message = "--" + strings.Join(strings.Fields(flags), " and --") + " do not go together"
	}
	return &usageError{message, "see `" + cmd.CommandPath() + " --help`"}
}
