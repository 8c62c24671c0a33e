package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"caravan/api/hostlist"
)

// scontrol shows and changes things.
func (a *App) scontrol(_ context.Context, args []string) error {
	var words []string
	for _, w := range args {
		if !strings.HasPrefix(w, "-") { // they only change how it is written
			words = append(words, w)
		}
	}
	if len(words) < 2 || words[0] != "show" {
		return errors.New("say scontrol show hostnames LIST or scontrol show hostlist NAMES")
	}
	list := strings.Join(words[2:], ",")
	if list == "" {
		list = a.Getenv("SLURM_JOB_NODELIST")
	}
	names, err := hostlist.Expand(list)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errors.New("no list of hosts is given, and SLURM_JOB_NODELIST is empty")
	case words[1] == "hostnames" || words[1] == "hostname":
		fmt.Fprintln(a.Out, strings.Join(names, "\n"))
	case words[1] == "hostlist":
		fmt.Fprintln(a.Out, hostlist.Compress(names))
	default:
		return fmt.Errorf("there is nothing to show of %q", words[1])
	}
	return nil
}
