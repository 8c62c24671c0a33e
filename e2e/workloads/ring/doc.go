// Package ring is a training job in miniature, in plain Python over sockets: its ranks add up
// numbers, save checkpoints and may be killed. It shows, on every push and without a framework,
// what gangs are promised: ranks find each other, a gang that has lost a rank starts again
// whole, from its checkpoint, and no two epochs are alive at once.
package ring
