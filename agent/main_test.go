package agent_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"caravan/agent"
	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/agent/shim"
	"caravan/plugins/device/amd"
	"caravan/plugins/device/fpga"
	"caravan/plugins/device/sim"
)

// agentProcess makes this program an agent: "DATADIR SERVER".
const agentProcess = "CARAVAN_TEST_AGENT"

// testGroup is the control group of the tests that need limits.
const testGroup = "/caravan-test-agent"

// TestMain is also the shim's program, and the agent's where a test has to kill it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	if len(os.Args) > 1 {
		if serve := map[string]func([]string) error{"device-plugin": sim.Main, "amd-plugin": amd.Main, "fpga-plugin": fpga.Main}[os.Args[1]]; serve != nil {
			if err := serve(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	if args := strings.Fields(os.Getenv(agentProcess)); len(args) == 2 {
		fmt.Fprintln(os.Stderr, runAgent(args[0], args[1]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m,
		// A shim ends a moment after it has reported its task's end, and whoever collects it
		// then has nothing else to do; nobody can or need wait for that.
		goleak.IgnoreAnyFunction("caravan/agent/shim.(*Launcher).reap"),
		goleak.Cleanup(func(code int) {
			if g, err := cgroup.Open(testGroup); err == nil {
				_ = g.Destroy() // its tasks have ended; an empty group that stays harms nobody
			}
			os.Exit(code)
		}))
}

// runAgent serves until it is killed.
func runAgent(dataDir, server string) error {
	a, err := agent.New(agent.Config{
		DataDir: dataDir, Servers: []string{server}, Name: node, ShimCommand: []string{os.Args[0], "shim"},
		TaskUser: exec.UserAgent, Isolation: driver.IsolationHost,
	})
	if err != nil {
		return err
	}
	return a.Run(context.Background())
}
