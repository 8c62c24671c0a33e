package agent_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"caravan/agent/shim"
)

// TestMain is also the shim's program, as cmd/caravan is for the real agent.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}
