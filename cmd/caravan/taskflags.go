package main

import (
	"github.com/spf13/pflag"

	"caravan/agent"
	"caravan/agent/driver"
)

// taskFlags say how an agent shuts tasks off from the host and from each other.
type taskFlags struct {
	user, isolation string
	share           []string
	scratchMiB      int64
}

func (f *taskFlags) add(fl *pflag.FlagSet, user, isolation string) {
	fl.StringVar(&f.user, "task-user", user, "who tasks run as: own (a user id for each task; own:BASE moves the range), owner (the account of the job's owner), agent, an account, UID:GID; auto is own for root, else agent")
	fl.StringVar(&f.isolation, "isolation", isolation, "how far tasks are shut off at least: host, standard or strict; jobs may ask for more")
	fl.StringArrayVar(&f.share, "share", nil, "directory that tasks find, and may write to as far as permissions go, although a sandbox would hide or protect it; repeat for several")
	fl.Int64Var(&f.scratchMiB, "scratch", defaultScratchMiB, "MiB that a task without `disk` may fill of its own directories; 0 for no bound")
}

// defaultScratchMiB is room for what tools leave lying about, not for data.
const defaultScratchMiB = 10 << 10

// apply puts the flags into an agent's configuration.
func (f *taskFlags) apply(c *agent.Config) {
	c.TaskUser, c.Isolation, c.Share, c.ScratchMiB = f.user, driver.Isolation(f.isolation), f.share, f.scratchMiB
}
