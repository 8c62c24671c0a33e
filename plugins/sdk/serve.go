package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"caravan/plugins/sdk/pluginv1"
)

// PluginName is what the service is called among the plugins of one process.
const PluginName = "device"

// LifelineEnv names the descriptor of a pipe whose other end the agent holds: when it closes, the
// agent is gone, however it ended.
const LifelineEnv = "CARAVAN_PLUGIN_LIFELINE"

// Handshake keeps a plugin from being run by hand, and agent and plugin of different contracts
// apart. ProtocolVersion changes when an old plugin could not be understood any more.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "CARAVAN_DEVICE_PLUGIN", MagicCookieValue: "device"}
}

// Serve serves a plugin to the agent that started this process, until the agent ends it or is
// gone itself. It returns early only with an error; messages go to standard error as the agent
// reads them.
func Serve(cfg Config) error {
	s, err := NewServer(cfg)
	if err != nil {
		return err
	}
	return ServeService(s)
}

// ServeService serves a whole implementation of the contract, for plugins that do without Server.
func ServeService(s pluginv1.DeviceServiceServer) error {
	h := Handshake()
	if os.Getenv(h.MagicCookieKey) != h.MagicCookieValue {
		return errors.New("this is a device plugin: the agent starts it (try `caravan plugin test` with its path)")
	}
	if err := watchLifeline(); err != nil {
		return err
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: h,
		Plugins:         goplugin.PluginSet{PluginName: &GRPC{Service: s}},
		GRPCServer:      goplugin.DefaultGRPCServer,
		Logger:          hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true, Level: hclog.Warn}),
	})
	return nil
}

// watchLifeline ends the process when its agent is gone.
func watchLifeline() error {
	text := os.Getenv(LifelineEnv)
	if text == "" {
		return nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s is %q, must be a descriptor", LifelineEnv, text)
	}
	pipe := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		_, _ = pipe.Read(make([]byte, 1)) // nobody writes: it returns when the other end closes
		os.Exit(0)                        //nolint:forbidigo // the agent is gone, and nobody else would end this process
	}()
	return nil
}

// GRPC is the service as go-plugin handles it.
type GRPC struct {
	goplugin.NetRPCUnsupportedPlugin
	// Service is nil on the agent's side.
	Service pluginv1.DeviceServiceServer
}

var _ goplugin.GRPCPlugin = (*GRPC)(nil)

// GRPCServer registers the service in the plugin.
func (g *GRPC) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterDeviceServiceServer(s, g.Service)
	return nil
}

// GRPCClient returns a pluginv1.DeviceServiceClient to the agent.
func (g *GRPC) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return pluginv1.NewDeviceServiceClient(c), nil
}
