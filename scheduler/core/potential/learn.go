package potential

// News is what an arrival changed about a learned mix.
type News uint8

// The kinds of News.
const (
	Nothing News = iota
	// Counted says that the shares of demand should be taken anew, which is cheap.
	Counted
	// Moved says that the whole mix should be taken anew, which values every state again.
	Moved
)

// Learner keeps the mix of what arrives: counts per class that are halved now and then, so that old
// work fades.
type Learner struct {
	counts []int64
	seen   int64
	// shares is the mix in use, in millionths per class, nil before the first.
	shares []int64
	next   int64
}

// When the mix is taken anew: first after 500 arrivals, then it is looked at in doubling steps, which
// follow the sampling error of the counts, and later from time to time. Every taking values all states
// again, so it must be worth it: 15 % of the mix has to have moved.
const (
	learnFirst   = 500
	learnCount   = 128 // arrivals between two counts: rare demand is what is scarce, and is seen late
	learnEvery   = 4096
	learnFade    = 16384
	learnDrift   = 300_000 // millionths, what one class gains and another loses counted both
	learnedCount = 1024    // the weight of one arrival, so that halving leaves something
)

// Observe counts an arrival of a class and tells what that changed.
func (l *Learner) Observe(class int) News {
	for len(l.counts) <= class {
		l.counts = append(l.counts, 0)
	}
	l.counts[class] += learnedCount
	l.seen++
	if l.seen%learnFade == 0 {
		for i := range l.counts {
			l.counts[i] /= 2
		}
	}
	if l.next == 0 {
		l.next = learnFirst
	}
	switch {
	case l.seen < l.next && l.shares != nil && l.seen%learnCount == 0:
		return Counted
	case l.seen < l.next:
		return Nothing
	}
	l.next += min(l.next, learnEvery)
	if l.drift() > learnDrift {
		return Moved
	}
	return Counted
}

// drift returns how far the counts have moved from the mix in use.
func (l *Learner) drift() int64 {
	if l.shares == nil {
		return 2 * million
	}
	var sum int64
	for i, share := range l.measure() {
		if i < len(l.shares) {
			share -= l.shares[i]
		}
		sum += max(share, -share)
	}
	return sum
}

// measure returns the share of every class in millionths.
func (l *Learner) measure() []int64 {
	var sum int64
	for _, n := range l.counts {
		sum += n
	}
	shares := make([]int64, len(l.counts))
	for i, n := range l.counts {
		shares[i] = fraction(n, sum)
	}
	return shares
}

// Take notes the mix as counted as the one in use.
func (l *Learner) Take() { l.shares = l.measure() }

// Mix returns the mix as counted, for classes by number.
func (l *Learner) Mix(class func(int) Request) Mix {
	mix := make(Mix, 0, len(l.counts))
	for i, n := range l.counts {
		mix = append(mix, Weighted{Request: class(i), Weight: n})
	}
	return mix
}
