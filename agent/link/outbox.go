package link

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
)

// MaxBatch is the most reports one request carries. Even if each had the longest message
// there may be, servers could put them into one log entry.
const MaxBatch = 128

// Outbox holds a node's reports until a server has acknowledged them. It has at most one
// waiting report per allocation, so it is bounded by what the node runs. At most one request
// is under way at a time: it is repeated, unchanged and under its own id, until it is
// acknowledged or refused. Safe for concurrent use.
type Outbox struct {
	node  string
	ready chan struct{}

	mu       sync.Mutex // guards what follows
	waiting  map[string]*pb.AllocationReport
	order    []string // ids in waiting, oldest first
	underWay []*pb.ReportAllocationsRequest
}

// NewOutbox returns an empty outbox of a node.
func NewOutbox(node string) *Outbox {
	return &Outbox{node: node, ready: make(chan struct{}, 1), waiting: make(map[string]*pb.AllocationReport)}
}

// Add takes a report. It replaces a waiting report of the same allocation, except that
// nothing replaces one that says how the allocation ended. Reports are not changed
// afterwards by either side.
func (o *Outbox) Add(r *pb.AllocationReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.waiting[r.AllocationId]
	switch {
	case !known:
		o.order = append(o.order, r.AllocationId)
		o.waiting[r.AllocationId] = r
	case !ended(before.State):
		o.waiting[r.AllocationId] = r
	}
	o.signal()
}

// Ready is sent to when there may be something to send.
func (o *Outbox) Ready() <-chan struct{} { return o.ready }

// Next returns the request to send now, nil when there is none. It returns the same request
// until Settle is done with it.
func (o *Outbox) Next() *pb.ReportAllocationsRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.underWay) > 0 {
		return o.underWay[0]
	}
	if len(o.order) == 0 {
		return nil
	}
	n := min(len(o.order), MaxBatch)
	req := o.request(nil)
	for _, id := range o.order[:n] {
		req.Reports = append(req.Reports, o.waiting[id])
		delete(o.waiting, id)
	}
	o.order = append([]string(nil), o.order[n:]...)
	o.underWay = append(o.underWay, req)
	return req
}

// Settle books the outcome of a call with the request that Next gave. It returns the reports
// that need no further call, and whether the same request is to be repeated after a pause.
// Only a request that the servers call invalid is not repeated: then a batch is cut in two,
// so that one bad report does not hold back the others, and a report that is refused by
// itself is given up and returned.
func (o *Outbox) Settle(req *pb.ReportAllocationsRequest, err error) (settled []*pb.AllocationReport, again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.underWay) == 0 || o.underWay[0] != req {
		return nil, false // settled before
	}
	n := len(req.Reports)
	switch {
	case err == nil, status.Code(err) == codes.InvalidArgument && n == 1:
		settled, o.underWay = req.Reports, o.underWay[1:]
	case status.Code(err) == codes.InvalidArgument:
		halves := []*pb.ReportAllocationsRequest{o.request(req.Reports[:n/2]), o.request(req.Reports[n/2:])}
		o.underWay = append(halves, o.underWay[1:]...)
	default:
		again = true
	}
	o.signal()
	return settled, again
}

// Empty reports whether everything is acknowledged.
func (o *Outbox) Empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.order) == 0 && len(o.underWay) == 0
}

// request makes a request with an id of its own.
func (o *Outbox) request(reports []*pb.AllocationReport) *pb.ReportAllocationsRequest {
	return &pb.ReportAllocationsRequest{RequestId: NewRequestID(), Node: o.node, Reports: reports}
}

// signal wakes the sender; o.mu is held.
func (o *Outbox) signal() {
	if len(o.order) == 0 && len(o.underWay) == 0 {
		return
	}
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// NewRequestID returns an id for a mutating call: 128 random bits in hexadecimal.
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// ended reports whether a state is final.
func ended(s pb.AllocationState) bool { return s >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED }
