package link

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	pb "caravan/api/caravanv1"
)

const (
	running   = pb.AllocationState_ALLOCATION_STATE_RUNNING
	succeeded = pb.AllocationState_ALLOCATION_STATE_SUCCEEDED
)

func report(id string, state pb.AllocationState) *pb.AllocationReport {
	return &pb.AllocationReport{AllocationId: id, State: state}
}

var (
	errInvalid = status.Error(codes.InvalidArgument, "no such state")
	errAway    = status.Error(codes.Unavailable, "no leader")
)

func TestAWaitingReportIsReplacedByANewerOneOfItsAllocation(t *testing.T) {
	o := NewOutbox("n1")
	o.Add(report("a", running))
	o.Add(report("b", running))
	o.Add(report("a", succeeded))
	o.Add(report("a", running)) // late: the end stays
	got := o.Next()
	if len(got.Reports) != 2 || got.Reports[0].State != succeeded || got.Reports[1].AllocationId != "b" {
		t.Errorf("sent %v", got.Reports)
	}
}

func TestARequestIsRepeatedUnchangedUnderItsOwnID(t *testing.T) {
	o := NewOutbox("n1")
	o.Add(report("a", running))
	first := o.Next()
	o.Add(report("b", running))
	if _, again := o.Settle(first, errAway); !again {
		t.Error("a request that nobody answered is not repeated")
	}
	if second := o.Next(); second != first || len(second.Reports) != 1 {
		t.Errorf("repeated as %v", second)
	}
	if settled, again := o.Settle(first, nil); again || len(settled) != 1 {
		t.Errorf("acknowledged: %v, %v", settled, again)
	}
	if third := o.Next(); third.RequestId == first.RequestId || third.Reports[0].AllocationId != "b" {
		t.Errorf("then came %v", third)
	}
}

func TestABadReportDoesNotHoldBackTheOthers(t *testing.T) {
	o := NewOutbox("n1")
	for i := range 9 {
		o.Add(report(fmt.Sprint(i), running))
	}
	var delivered, givenUp []string
	for req := o.Next(); req != nil; req = o.Next() {
		err := error(nil)
		for _, r := range req.Reports {
			if r.AllocationId == "5" {
				err = errInvalid
			}
		}
		settled, _ := o.Settle(req, err)
		for _, r := range settled {
			if err != nil {
				givenUp = append(givenUp, r.AllocationId)
			} else {
				delivered = append(delivered, r.AllocationId)
			}
		}
	}
	if fmt.Sprint(givenUp) != "[5]" || fmt.Sprint(delivered) != "[0 1 2 3 4 6 7 8]" {
		t.Errorf("delivered %v, gave up %v", delivered, givenUp)
	}
}

// Whatever is lost, repeated or refused: each allocation's last added end arrives, the order
// of an allocation's states is kept, and nothing is left over.
func TestNoReportIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := NewOutbox("n1")
		booked := make(map[string]pb.AllocationState)
		added := make(map[string]pb.AllocationState)
		seen := make(map[string]bool)
		call := func(lost, answerLost bool) {
			req := o.Next()
			if req == nil {
				return
			}
			if !lost && !seen[req.RequestId] {
				seen[req.RequestId] = true
				for _, r := range req.Reports {
					if r.State < booked[r.AllocationId] {
						t.Fatalf("%s went from %v back to %v", r.AllocationId, booked[r.AllocationId], r.State)
					}
					booked[r.AllocationId] = r.State
				}
			}
			var err error
			if lost || answerLost {
				err = errors.New("no answer")
			}
			o.Settle(req, err)
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				if added[id] < running {
					added[id] = running
					o.Add(report(id, running))
				}
			case 1:
				if added[id] < succeeded {
					added[id] = succeeded
					o.Add(report(id, succeeded))
				}
			default:
				call(rapid.Bool().Draw(t, "lost"), rapid.Bool().Draw(t, "answer lost"))
			}
		}
		for !o.Empty() {
			call(false, false)
		}
		for id, state := range added {
			if booked[id] != state {
				t.Fatalf("%s: added %v, booked %v", id, state, booked[id])
			}
		}
	})
}
