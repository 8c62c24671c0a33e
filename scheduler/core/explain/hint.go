package explain

import (
	"fmt"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// hint names the cheapest change that would let a task of the class run:
// waiting when full nodes would fit it, else the one change that opens most
// nodes, else nothing but the nearest node.
func (t *tally) hint() string {
	k := t.checks
	var waiting int64
	for _, r := range t.rejections {
		waiting += r.IfEmpty
	}
	switch {
	case t.trace.Fits > 0:
		return ""
	case waiting > 0:
		return "wait: " + nodes(waiting) + " would fit when running tasks end"
	case t.trace.Nodes == 0:
		return "no node has registered yet; start an agent"
	}
	best := -1
	for check, n := range t.sole {
		if n > 0 && (best < 0 || n > t.sole[best]) {
			best = check
		}
	}
	if best < 0 {
		return "no single change helps: every node fails several conditions"
	}
	return t.remedy(best, nodes(t.sole[best])) + k.soleLimit(best, t)
}

// remedy says what to do about one check.
func (t *tally) remedy(check int, opened string) string {
	k := t.checks
	switch {
	case check == checkLost:
		return "bring back a lost node: " + opened + " would fit"
	case check == checkDraining:
		return "end the drain: " + opened + " would fit"
	case check == checkBooks:
		return "register the node again: " + opened + " would fit"
	case check == checkSort && k.class.Simulated:
		return "simulated tasks need a simulated node; none would fit"
	case check == checkSort:
		return "only simulated nodes would fit; register a real one, or use the sim driver"
	case check < k.firstDevice():
		return fmt.Sprintf("without %q %s would fit", k.class.Constraints[check-firstConstraint].String(), opened)
	case check < k.cores():
		return "ask for less than " + requestLabel(&k.class.Devices[check-k.firstDevice()]) + ": " + opened + " would fit otherwise"
	case check == k.cores():
		return "ask for fewer cores: " + opened + " would fit otherwise"
	case check == k.memory():
		return "ask for less memory: " + opened + " would fit otherwise"
	}
	return "ask for less disk: " + opened + " would fit otherwise"
}

// soleLimit adds what the best of the nodes that one check keeps away has to
// give.
func (k *checks) soleLimit(check int, t *tally) string {
	n := t.soleNear[check]
	if n == nil || check < k.firstDevice() {
		return ""
	}
	switch {
	case check == k.cores():
		return fmt.Sprintf(" (%s has %s)", n.Node.Name, model.FormatMilli(n.Node.CPUMilli))
	case check == k.memory():
		return fmt.Sprintf(" (%s has %s)", n.Node.Name, model.FormatMiB(n.Node.MemoryMiB))
	case check == k.disk():
		return fmt.Sprintf(" (%s has %s)", n.Node.Name, model.FormatMiB(n.Node.DiskMiB))
	}
	r := &k.class.Devices[check-k.firstDevice()]
	return fmt.Sprintf(" (%s lacks %s)", n.Node.Name, deviceLacks(r, nearestDevice(r, n.Node, n.Free)))
}

// gangHint says how much of a gang there is room for.
func gangHint(v *verdict, need int64) string {
	at := fmt.Sprintf("room for %d of %d members now", v.now, need)
	switch {
	case v.empty >= need:
		return at + "; all fit when running tasks end"
	case v.ever >= need:
		return at + "; all fit when lost or drained nodes and devices are back"
	}
	return at + fmt.Sprintf("; the whole fleet, empty, holds %d", v.ever)
}

func nodes(n int64) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// Never reports whether no node, restored and empty, would hold `need` tasks
// of the class at once.
func (e *Explainer) Never(c *request.Class, need int64) bool {
	v := e.class(c)
	return v.examined && v.ever < need
}
