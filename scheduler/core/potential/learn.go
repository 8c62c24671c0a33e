package potential

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
	learnEvery   = 4096
	learnFade    = 16384
	learnDrift   = 300_000 // millionths, what one class gains and another loses counted both
	learnedCount = 1024    // the weight of one arrival, so that halving leaves something
)

// Observe counts an arrival of a class and reports whether the mix has moved enough to be taken anew
// with Mix.
func (l *Learner) Observe(class int) (renew bool) {
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
	if l.seen < l.next {
		return false
	}
	l.next += min(l.next, learnEvery)
	return l.drift() > learnDrift
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

// Mix returns the mix as counted, for classes by number, and notes it as the one in use.
func (l *Learner) Mix(class func(int) Request) Mix {
	l.shares = l.measure()
	mix := make(Mix, 0, len(l.counts))
	for i, n := range l.counts {
		mix = append(mix, Weighted{Request: class(i), Weight: n})
	}
	return mix
}
