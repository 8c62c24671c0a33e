package exec

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"sync"

	"caravan/agent/driver"
)

// Words of a user rule.
const (
	// UserAuto is UserOwn for an agent that is root, else UserAgent.
	UserAuto = "auto"
	// UserOwn gives each task a user id that no other task on the host has, from the range
	// that begins at OwnBase; "own:BASE" moves the range.
	UserOwn = "own"
	// UserOwner is the account of the job's owner on this host, never a system account. It is
	// for clusters that know who submits.
	UserOwner = "owner"
	// UserAgent is the agent's own user.
	UserAgent = "agent"
)

const (
	// OwnBase is the first user id of UserOwn: above accounts and what container run-times
	// map theirs to (systemd's UIDS-GIDS.md).
	OwnBase = 2_000_000_000
	// ownCount is how many user ids UserOwn goes round, so that one is not used again soon.
	ownCount = 65_536
	// firstAccount is where user ids of people begin (login.defs(5), UID_MIN).
	firstAccount = 1000
)

// Users says which user each task runs as. It is safe for concurrent use.
type Users struct {
	rule  string
	fixed *driver.User // for a rule that names an account
	base  uint32

	mu   sync.Mutex // guards what follows
	next uint32
	used map[uint32]string // user ids of UserOwn by allocation
}

// ParseUsers reads a rule: one of the words, an account's name, or UID:GID. root says whether
// the agent is root, without which it cannot give tasks another user.
func ParseUsers(rule string, root bool) (*Users, error) {
	u := &Users{rule: rule, base: OwnBase, used: make(map[uint32]string)}
	if rule == "" || rule == UserAuto {
		u.rule = UserAgent
		if root {
			u.rule = UserOwn
		}
	}
	if base, ok := strings.CutPrefix(rule, UserOwn+":"); ok {
		n, err := strconv.ParseUint(base, 10, 31)
		if err != nil || n < firstAccount {
			return nil, fmt.Errorf("task user %q: the range must begin at a number from %d to 2^31", rule, firstAccount)
		}
		u.rule, u.base = UserOwn, uint32(n)
	}
	if u.rule != UserAgent && !root {
		return nil, fmt.Errorf("task user %q: an agent that is not root runs tasks as itself (run it as root, or use %q)", rule, UserAgent)
	}
	switch u.rule {
	case UserOwn, UserOwner, UserAgent:
		return u, nil
	}
	var err error
	if u.fixed, err = named(rule); err != nil {
		return nil, fmt.Errorf("task user %q: %w (use auto, own, owner, agent, an account or UID:GID)", rule, err)
	}
	return u, nil
}

// named reads an account's name or UID:GID.
func named(rule string) (*driver.User, error) {
	uid, gid, numbers := strings.Cut(rule, ":")
	if !numbers {
		return account(rule)
	}
	u, errU := strconv.ParseUint(uid, 10, 32)
	g, errG := strconv.ParseUint(gid, 10, 32)
	return &driver.User{UID: uint32(u), GID: uint32(g)}, errors.Join(errU, errG)
}

// account looks an account of this host up, with its groups.
func account(name string) (*driver.User, error) {
	a, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	groups, err := a.GroupIds()
	if err != nil {
		return nil, err
	}
	u := &driver.User{}
	for i, id := range append([]string{a.Uid, a.Gid}, groups...) {
		n, err := strconv.ParseUint(id, 10, 32)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			u.UID = uint32(n)
		case i == 1:
			u.GID = uint32(n)
		default:
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}

// of returns the user that an allocation runs as; nil for the agent's.
func (u *Users) of(spec driver.AllocSpec) (*driver.User, error) {
	switch u.rule {
	case UserAgent:
		return nil, nil
	case UserOwn:
		return u.take(spec.ID)
	case UserOwner:
		a, err := account(spec.Owner)
		if err != nil {
			return nil, fmt.Errorf("the job's owner %q has no account on this host: %w", spec.Owner, err)
		}
		if a.UID < firstAccount {
			return nil, fmt.Errorf("the job's owner %q is a system account, which tasks do not run as", spec.Owner)
		}
		return a, nil
	}
	return u.fixed, nil
}

// take returns a user id that no running allocation has.
func (u *Users) take(allocation string) (*driver.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for range ownCount {
		id := u.base + u.next
		u.next = (u.next + 1) % ownCount
		if _, taken := u.used[id]; !taken {
			u.used[id] = allocation
			return &driver.User{UID: id, GID: id}, nil
		}
	}
	return nil, fmt.Errorf("all %d user ids for tasks are in use", ownCount)
}

// keep notes what an allocation begun earlier runs as, and lets later ones have other ids.
func (u *Users) keep(spec driver.AllocSpec) {
	if u.rule != UserOwn || spec.User == nil || spec.User.UID < u.base || spec.User.UID >= u.base+ownCount {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used[spec.User.UID] = spec.ID
	u.next = max(u.next, (spec.User.UID-u.base+1)%ownCount)
}

// release gives an allocation's user id back.
func (u *Users) release(spec driver.AllocSpec) {
	if spec.User == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used[spec.User.UID] == spec.ID {
		delete(u.used, spec.User.UID)
	}
}

func (u *Users) own() bool { return u.rule == UserOwn }
