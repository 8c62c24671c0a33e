//go:build cgo

// Command caravan-nvidia is the device plugin for NVIDIA GPUs. The agent starts it, by default when
// it lies beside the caravan binary. It is a program of its own because the driver's library needs
// cgo, and because a driver that ends or hangs its caller may take no more along than this.
//
//	caravan-nvidia check          what the plugin makes of this host, to compare with nvidia-smi
//	caravan-nvidia check -json    the same with everything that was read
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"caravan/plugins/device/nvidia"
	"caravan/plugins/device/nvidia/library"
)

func main() {
	err := nvidia.Main(context.Background(), library.New(library.Config{}), os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "caravan-nvidia:", err)
		os.Exit(1)
	}
}
