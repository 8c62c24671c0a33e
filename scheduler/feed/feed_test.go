package feed

import "testing"

func woken(s *Subscription) bool {
	select {
	case <-s.C:
		return true
	default:
		return false
	}
}

func TestSubscribersAreWokenByTheirTopicAlone(t *testing.T) {
	f := New()
	job, other, all := f.Subscribe(Job("a-1")), f.Subscribe(Job("b-2")), f.Subscribe(Any)
	for _, s := range []*Subscription{job, other, all} {
		if !woken(s) {
			t.Fatal("a new subscription must have a token, or its owner would miss the present state")
		}
	}
	f.Publish(Job("a-1"), Node("n1"))
	f.Publish(Job("a-1"))
	if !woken(job) || !woken(all) {
		t.Error("the job's and the general subscriber must be woken")
	}
	if woken(other) {
		t.Error("another job's subscriber was woken")
	}
	if woken(job) {
		t.Error("two changes must leave one token, not a queue")
	}
	f.PublishAll()
	if !woken(job) || !woken(other) || !woken(all) {
		t.Error("after a restore everybody must look anew")
	}
	job.Close()
	f.Publish(Job("a-1"))
	if woken(job) {
		t.Error("a closed subscription was woken")
	}
}
