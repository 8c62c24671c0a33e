package runner

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
)

// joined adds to the spec of a gang's member what depends on this host: the network interface
// that leads to the others, unless the job names one, and as much locked memory as may be
// had, which transports over RDMA and pinned buffers need.
func joined(spec driver.AllocSpec, g *pb.Gang) driver.AllocSpec {
	if g == nil {
		return spec
	}
	spec.Env = underlay(spec.Env, sockets(interfaceTowards(g)))
	if limit, ok := lockedMemory(); ok {
		spec.Rlimits = append(slices.Clip(spec.Rlimits), limit)
	}
	return spec
}

// lockedMemory is the highest limit on locked memory that this process may set.
func lockedMemory() (driver.Rlimit, bool) {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now); err != nil {
		return driver.Rlimit{}, false
	}
	most := now.Max
	// Raising the hard limit takes CAP_SYS_RESOURCE (getrlimit(2)). To try it on this
	// process is harmless: a process that may raise it is not held by it.
	if os.Geteuid() == 0 && unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: now.Cur, Max: unix.RLIM_INFINITY}, nil) == nil {
		most = unix.RLIM_INFINITY
	}
	return driver.Rlimit{Resource: unix.RLIMIT_MEMLOCK, Soft: most, Hard: most}, true
}
