// Package faults breaks devices and their plugins under running jobs, with real servers and agents,
// and checks that what is ill goes out of service and nothing else, that work goes on elsewhere at
// no charge, and that what was mended comes back.
//
// A Bench is a device plugin whose devices can be made ill on command; the drill is the same for
// each. The one here is the simulated devices'; a vendor's plugin on a fake library is another.
package faults
