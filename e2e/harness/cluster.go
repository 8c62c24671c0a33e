package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "caravan/api/caravanv1"
)

// Options says what to start.
type Options struct {
	// Bin is the caravan binary.
	Bin string
	// Dir holds data and logs; the caller owns it.
	Dir     string
	Servers int
	Agents  int
	// ServerFlags and AgentFlags are added to every command line of their kind.
	ServerFlags, AgentFlags []string
	// FlagsOfAgent, if set, returns what is added for one agent alone, counted from 0.
	FlagsOfAgent func(agent int) []string
	// Network puts each agent into a network namespace of its own; nil leaves all on loopback.
	Network *Network
}

// Cluster is a set of servers and agents on loopback.
type Cluster struct {
	opt     Options
	Servers []*Process
	Agents  []*Process
	conns   map[string]*grpc.ClientConn
}

// Start starts the servers, forms them into one cluster, and starts the
// agents. On error everything started is stopped again.
func Start(ctx context.Context, opt Options) (*Cluster, error) {
	c := &Cluster{opt: opt, conns: make(map[string]*grpc.ClientConn)}
	if err := c.form(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) form(ctx context.Context) error {
	opt := c.opt
	for i := range opt.Servers {
		if err := c.addServer(ctx, i); err != nil {
			return err
		}
	}
	if err := c.awaitVoters(ctx, opt.Servers); err != nil {
		return err
	}
	for i := range opt.Agents {
		if err := c.addAgent(ctx, i); err != nil {
			return err
		}
	}
	return c.awaitNodes(ctx, opt.Agents)
}

func (c *Cluster) process(name, kind string, args ...string) *Process {
	p := &Process{
		Name: name, bin: c.opt.Bin, Log: filepath.Join(c.opt.Dir, name+".log"),
		ready: filepath.Join(c.opt.Dir, name+".ready"),
	}
	p.Args = append([]string{kind}, args...)
	return p
}

func (c *Cluster) addServer(ctx context.Context, i int) error {
	api, err := freePort(c.opt.Network.Servers())
	if err != nil {
		return err
	}
	raft, err := freePort(c.opt.Network.Servers())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("s%d", i+1)
	args := []string{"--id", name, "--listen", api, "--raft-listen", raft, "--data-dir", filepath.Join(c.opt.Dir, name)}
	if i == 0 {
		args = append(args, "--bootstrap")
	} else {
		args = append(args, "--join", c.Servers[0].Addr)
	}
	p := c.process(name, "server", append(args, c.opt.ServerFlags...)...)
	c.Servers = append(c.Servers, p)
	return p.start(ctx)
}

func (c *Cluster) addAgent(ctx context.Context, i int) error {
	name := fmt.Sprintf("a%d", i+1)
	args := []string{"--name", name, "--listen", c.opt.Network.Agent(i) + ":0", "--data-dir", filepath.Join(c.opt.Dir, name)}
	// Tasks of tests meet in the cluster's directory, which lies below /tmp and is root's.
	args = append(args, "--task-user", "agent", "--share", c.opt.Dir)
	args = append(args, c.ServerArgs()...)
	args = append(args, c.opt.AgentFlags...)
	if c.opt.FlagsOfAgent != nil {
		args = append(args, c.opt.FlagsOfAgent(i)...)
	}
	p := c.process(name, "agent", args...)
	p.prefix = c.opt.Network.Enter(i)
	c.Agents = append(c.Agents, p)
	return p.start(ctx)
}

// ServerArgs returns --server flags for every server.
func (c *Cluster) ServerArgs() []string {
	var args []string
	for _, s := range c.Servers {
		args = append(args, "--server", s.Addr)
	}
	return args
}

// Conn returns a connection to one process.
func (c *Cluster) Conn(p *Process) (*grpc.ClientConn, error) {
	if conn, ok := c.conns[p.Addr]; ok {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+p.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		c.conns[p.Addr] = conn
	}
	return conn, err
}

// View returns the cluster as the first server that answers sees it.
func (c *Cluster) View(ctx context.Context) (*pb.Cluster, error) {
	var last error
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		conn, err := c.Conn(s)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		v, err := pb.NewOperatorServiceClient(conn).GetCluster(ctx, &pb.GetClusterRequest{})
		cancel()
		if err == nil {
			return v, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no server answers: %w", last)
}

// Leader returns the leading server.
func (c *Cluster) Leader(ctx context.Context) (*Process, error) {
	var leader *Process
	err := Eventually(ctx, func() (bool, error) {
		v, err := c.View(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // an election is under way; ctx bounds the waiting
		}
		for _, s := range c.Servers {
			if s.Name == v.Leader && s.Running() {
				leader = s
			}
		}
		return leader != nil, nil
	})
	return leader, err
}

func (c *Cluster) awaitVoters(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return Eventually(ctx, func() (bool, error) {
		v, err := c.View(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // as above
		}
		voters := 0
		for _, s := range v.Servers {
			if s.Voter {
				voters++
			}
		}
		return voters == n, nil
	})
}

func (c *Cluster) awaitNodes(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return Eventually(ctx, func() (bool, error) {
		conn, err := c.Conn(c.Servers[0])
		if err != nil {
			return false, err
		}
		l, err := pb.NewNodeServiceClient(conn).ListNodes(ctx, &pb.ListNodesRequest{})
		return err == nil && len(l.Nodes) >= n, nil
	})
}

// CLI returns a caravan command that talks to this cluster.
func (c *Cluster) CLI(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.opt.Bin, args...)
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr
	}
	cmd.Env = append(os.Environ(), "CARAVAN_SERVER="+strings.Join(addrs, ","))
	return cmd
}

// Stop ends everything, agents first.
func (c *Cluster) Stop() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	for _, p := range append(c.Agents, c.Servers...) {
		p.Stop()
	}
}
