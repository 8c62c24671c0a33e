package client

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"caravan/api/caravanv1"
)

// Ended reports whether nothing of the job runs or will run.
func Ended(s caravanv1.JobState) bool {
	switch s {
	case caravanv1.JobState_JOB_STATE_SUCCEEDED, caravanv1.JobState_JOB_STATE_FAILED, caravanv1.JobState_JOB_STATE_STOPPED:
		return true
	default:
		return false
	}
}

// WatchJob yields the job as it is and after each change, and ends once the
// job has ended. Reconnecting, it leaves out revisions that were yielded. An
// error is yielded last, with a nil job.
func (c *Client) WatchJob(ctx context.Context, jobID string) iter.Seq2[*caravanv1.Job, error] {
	return func(yield func(*caravanv1.Job, error) bool) {
		var last *caravanv1.Job
		r := resuming[caravanv1.Job]{
			failover: c.failover,
			open: func(ctx context.Context) (grpc.ServerStreamingClient[caravanv1.Job], error) {
				return c.Jobs.WatchJob(ctx, &caravanv1.WatchJobRequest{JobId: jobID})
			},
			take: func(j *caravanv1.Job) (fresh, done bool) {
				// A server that lags may be behind the one that was lost.
				if last != nil && j.Revision <= last.Revision {
					return false, false
				}
				last = j
				return true, !yield(j, nil) || Ended(j.State)
			},
			complete: func() bool { return false },
		}
		if err := r.run(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// StreamEvents yields events in the order of the log. Reconnecting, it goes on
// after the last event that was yielded. An error is yielded last, with a nil
// event.
func (c *Client) StreamEvents(ctx context.Context, req *caravanv1.StreamEventsRequest) iter.Seq2[*caravanv1.Event, error] {
	req = proto.CloneOf(req)
	return func(yield func(*caravanv1.Event, error) bool) {
		// One log entry may give several events: seen counts those yielded of
		// the last index, skip those to leave out after a reconnection.
		var seen, skip int
		r := resuming[caravanv1.Event]{
			failover: c.failover,
			open: func(ctx context.Context) (grpc.ServerStreamingClient[caravanv1.Event], error) {
				skip = seen
				return c.Events.StreamEvents(ctx, req)
			},
			take: func(e *caravanv1.Event) (fresh, done bool) {
				if skip > 0 && e.Index == req.FromIndex {
					skip--
					return false, false
				}
				if e.Index != req.FromIndex {
					req.FromIndex, seen = e.Index, 0
				}
				seen++
				return true, !yield(e, nil)
			},
			complete: func() bool { return req.NoFollow },
		}
		if err := r.run(ctx); err != nil {
			yield(nil, err)
		}
	}
}
