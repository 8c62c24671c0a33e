package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Network is a switch with hosts in network namespaces (ip-netns(8)): one for the servers and
// the test itself, one for each agent. A host that is cut off loses packets without a word, as
// it does behind a dead switch port. It needs root and iproute2. The nil Network is loopback.
type Network struct{ names []string }

// subnet holds all hosts: .1 the servers, .2 the first agent. It exists in the namespaces alone.
const subnet = "10.77.0."

// NewNetwork makes the namespaces for so many agents. Their names begin with a prefix, which
// must be unique on this host and at most 8 characters long.
func NewNetwork(prefix string, agents int) (*Network, error) {
	n := Attach(prefix, agents)
	if err := n.build(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) build() error {
	for _, name := range n.names {
		if err := run("ip", "netns", "add", name); err != nil {
			return err
		}
		if err := run("ip", "-n", name, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	hub := n.names[0]
	lines := []string{"link add hub type bridge", "addr add " + subnet + "1/24 dev hub", "link set hub up"}
	for i := range n.names[1:] {
		lines = append(lines, fmt.Sprintf("link add port%d type veth peer name net0 netns %s", i, n.names[i+1]),
			fmt.Sprintf("link set port%d master hub up", i))
	}
	for _, line := range lines {
		if err := n.ip(hub, line); err != nil {
			return err
		}
	}
	for i, name := range n.names[1:] {
		if err := errors.Join(n.ip(name, fmt.Sprintf("addr add %s/24 dev net0", n.Agent(i))), n.ip(name, "link set net0 up")); err != nil {
			return err
		}
	}
	return nil
}

// Attach returns the network that an outer process has made with the same prefix.
func Attach(prefix string, agents int) *Network {
	n := &Network{}
	for i := range agents + 1 {
		n.names = append(n.names, fmt.Sprintf("%s-%d", prefix, i))
	}
	return n
}

// Close removes the namespaces. What runs in them keeps its own until it ends.
func (n *Network) Close() error {
	var errs []error
	for _, name := range n.names {
		if _, err := os.Stat("/var/run/netns/" + name); err == nil {
			errs = append(errs, run("ip", "netns", "del", name))
		}
	}
	return errors.Join(errs...)
}

// Servers is the address of the servers' host.
func (n *Network) Servers() string {
	if n == nil {
		return "127.0.0.1"
	}
	return subnet + "1"
}

// Agent is the address of an agent's host.
func (n *Network) Agent(i int) string {
	if n == nil {
		return "127.0.0.1"
	}
	return fmt.Sprintf("%s%d", subnet, i+2)
}

// Enter returns the words before a command that runs on an agent's host. The file systems,
// control groups among them, stay those of this host.
func (n *Network) Enter(i int) []string {
	if n == nil {
		return nil
	}
	return n.enter(i + 1)
}

// EnterServers is Enter for the servers' host.
func (n *Network) EnterServers() []string { return n.enter(0) }

func (n *Network) enter(i int) []string {
	return []string{"nsenter", "--net=/var/run/netns/" + n.names[i]}
}

// Cut takes an agent's host off the switch.
func (n *Network) Cut(i int) error {
	return n.ip(n.names[0], fmt.Sprintf("link set port%d nomaster", i))
}

// Heal puts it back.
func (n *Network) Heal(i int) error {
	return n.ip(n.names[0], fmt.Sprintf("link set port%d master hub", i))
}

func (n *Network) ip(name, line string) error {
	return run("ip", append([]string{"-n", name}, strings.Fields(line)...)...)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
