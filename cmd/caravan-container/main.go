// Command caravan-container keeps the images of containers for an agent, with containerd. The agent
// starts it, by default when it lies beside the caravan binary. It is a program of its own because
// the clients of container runtimes are large.
//
//	caravan-container check     is containerd there?
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"caravan/agent/driver/container/containerd"
	"caravan/agent/driver/container/store"
)

func main() {
	var cfg containerd.Config
	flag.StringVar(&cfg.Address, "address", containerd.DefaultAddress, "socket of containerd")
	flag.StringVar(&cfg.Namespace, "namespace", containerd.DefaultNamespace, "namespace of containerd for images and file systems")
	flag.StringVar(&cfg.Snapshotter, "snapshotter", containerd.DefaultSnapshotter, "snapshotter of containerd")
	flag.StringVar(&cfg.HostsDir, "hosts-dir", containerd.DefaultHostsDir, "directory that says how to reach registries, one hosts.toml each")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: caravan-container [flags] check|prepare|remove")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	open := func() (store.Store, error) { return containerd.New(cfg) }
	if err := store.Serve(ctx, open, flag.Arg(0), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "caravan-container:", err)
		os.Exit(1)
	}
}
