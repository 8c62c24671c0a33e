package client

import (
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Config says where the servers are and how patiently to call them.
type Config struct {
	// Addresses of the cluster's servers as host:port, tried in order; at least one.
	Addresses []string
	// Credentials secure the connections; nil means plain text.
	Credentials credentials.TransportCredentials
	// Retry bounds how a call is repeated. Its zero value means DefaultRetry.
	Retry Retry
	// AttemptTimeout bounds one attempt of a unary call, so that a server that
	// hangs does not use up the caller's whole deadline; 10 s when 0.
	AttemptTimeout time.Duration
	// OnRetry, if set, is told of every failed attempt that will be repeated.
	// It must not block, and may be called from several goroutines.
	OnRetry func(address string, err *Error)
	// DialOptions are added to the SDK's own, e.g. for an in-memory network.
	DialOptions []grpc.DialOption
}

// Retry is a back-off policy: attempt k is followed by a pause drawn evenly
// from half to the whole of min(First<<k, Max).
type Retry struct {
	// Attempts at most, the first one included; at least 1.
	Attempts int
	// First is the upper bound of the first pause.
	First time.Duration
	// Max bounds every pause.
	Max time.Duration
}

// DefaultRetry outlasts the election of a new leader: 8 attempts within about
// 6 seconds.
var DefaultRetry = Retry{Attempts: 8, First: 100 * time.Millisecond, Max: 2 * time.Second}

// validate fills in defaults and refuses what cannot work.
func (c *Config) validate() error {
	if len(c.Addresses) == 0 {
		return &Error{Kind: KindInvalid, Subject: "addresses", Message: "no server address given", Hint: "name at least one server as host:port"}
	}
	for _, a := range c.Addresses {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return &Error{
				Kind: KindInvalid, Subject: a, Message: fmt.Sprintf("server address %q is not host:port", a),
				Hint: "write it like 127.0.0.1:7300",
			}
		}
	}
	if c.Retry == (Retry{}) {
		c.Retry = DefaultRetry
	}
	if c.Retry.Attempts < 1 || c.Retry.First <= 0 || c.Retry.Max < c.Retry.First {
		return &Error{Kind: KindInvalid, Subject: "retry", Message: "retry needs Attempts >= 1 and 0 < First <= Max"}
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 10 * time.Second
	}
	return nil
}
