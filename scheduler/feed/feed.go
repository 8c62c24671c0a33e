// Package feed wakes those who wait for a part of the state to change. It
// carries no data: who is woken reads the newest snapshot, so a slow reader
// skips what is stale and nothing queues up behind it.
//
// Publish is called on the goroutine that applies the log and never blocks;
// every other method is safe for concurrent use.
package feed

import "sync"

// Topic names a part of the state: Job("x-1"), Node("a1"), Any.
type Topic string

// Any is woken by every change.
const Any Topic = "*"

// Job is the topic of one job, its tasks and allocations.
func Job(id string) Topic { return Topic("job/" + id) }

// Node is the topic of one node and the allocations on it.
func Node(name string) Topic { return Topic("node/" + name) }

// Feed is a set of subscribers by topic.
type Feed struct {
	mu   sync.Mutex // guards subs
	subs map[Topic]map[*Subscription]struct{}
}

// New returns a feed without subscribers.
func New() *Feed { return &Feed{subs: make(map[Topic]map[*Subscription]struct{})} }

// Subscription wakes its owner through C, which holds at most one token:
// after receiving it, read the state anew.
type Subscription struct {
	C     <-chan struct{}
	c     chan struct{}
	feed  *Feed
	topic Topic
}

// Subscribe starts a subscription that has a token already, so that its
// owner's first receive returns at once. End it with Close.
func (f *Feed) Subscribe(topic Topic) *Subscription {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	s := &Subscription{C: c, c: c, feed: f, topic: topic}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs[topic] == nil {
		f.subs[topic] = make(map[*Subscription]struct{})
	}
	f.subs[topic][s] = struct{}{}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	delete(s.feed.subs[s.topic], s)
	if len(s.feed.subs[s.topic]) == 0 {
		delete(s.feed.subs, s.topic)
	}
}

// Publish wakes the subscribers of the topics, and of Any.
func (f *Feed) Publish(topics ...Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake(Any)
	for _, t := range topics {
		f.wake(t)
	}
}

// PublishAll wakes every subscriber.
func (f *Feed) PublishAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := range f.subs {
		f.wake(t)
	}
}

func (f *Feed) wake(t Topic) {
	for s := range f.subs[t] {
		select {
		case s.c <- struct{}{}:
		default: // a token is waiting already
		}
	}
}
