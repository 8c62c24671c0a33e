package state

import (
	"iter"

	"caravan/scheduler/model"
)

// Bounds on the memory of requests.
const (
	// MaxRequests is how many requests are remembered; beyond it the oldest is
	// forgotten, even within its keeping time.
	MaxRequests = 1_000_000
	// MaxRequestID is the longest request id, in bytes.
	MaxRequestID = 64
)

// Request is the memory of a request that was answered.
type Request struct {
	ID   string
	Time model.Time
	// JobID and Count are the answer, if it was none of the errors.
	JobID string
	Count int64
	// ErrorKind is empty when the request succeeded.
	ErrorKind                             model.Kind
	ErrorMessage, ErrorSubject, ErrorHint string
}

type requestTable struct {
	byID   table[string, *Request]
	byTime index[requestTime]
}

type requestTime struct {
	at model.Time
	id string
}

func newRequestTable() requestTable {
	return requestTable{
		byID: newTable[string, *Request](),
		byTime: newIndex(func(a, b requestTime) bool {
			if a.at != b.at {
				return a.at < b.at
			}
			return a.id < b.id
		}),
	}
}

func (t *requestTable) copy() requestTable {
	return requestTable{byID: t.byID.copy(), byTime: t.byTime.copy()}
}

func (t *requestTable) add(r *Request) {
	t.byID.put(r.ID, r)
	t.byTime.put(requestTime{r.Time, r.ID})
}

// dropOldest forgets up to limit requests made before the given time and
// returns how many it forgot.
func (t *requestTable) dropOldest(before model.Time, limit int) int {
	var old []requestTime
	for k := range t.byTime.all() {
		if k.at >= before || len(old) >= limit {
			break
		}
		old = append(old, k)
	}
	for _, k := range old {
		t.byTime.remove(k)
		t.byID.remove(k.id)
	}
	return len(old)
}

// answer returns what the request was answered.
func (r *Request) answer() (Answer, *model.Error) {
	if r.ErrorKind != "" {
		return Answer{}, &model.Error{Kind: r.ErrorKind, Message: r.ErrorMessage, Subject: r.ErrorSubject, Hint: r.ErrorHint}
	}
	return Answer{JobID: r.JobID, Count: r.Count}, nil
}

// RequestCount returns how many requests are remembered.
func (s *Snapshot) RequestCount() int { return s.t.requests.byID.len() }

// Requests yields the remembered requests by id.
func (s *Snapshot) Requests() iter.Seq[*Request] { return values(s.t.requests.byID.all()) }
