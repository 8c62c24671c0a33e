package state

import (
	"iter"

	"caravan/scheduler/model"
)

// MaxServers bounds the table of servers.
const MaxServers = 64

// Server returns a server's addresses by its id.
func (s *Snapshot) Server(id string) (*model.Server, bool) { return s.t.servers.get(id) }

// Servers yields all servers by id.
func (s *Snapshot) Servers() iter.Seq[*model.Server] { return values(s.t.servers.all()) }

// PutServer records where a server is reached.
func (t *Txn) PutServer(v model.Server) (Answer, *model.Error) {
	if v.ID == "" {
		return Answer{}, invalid("server", "a server needs an id", "give the name it was started with")
	}
	if !t.tb.servers.has(v.ID) && t.tb.servers.len() >= MaxServers {
		return Answer{}, overloaded("server "+v.ID, "servers", MaxServers, "remove servers that are gone")
	}
	t.tb.servers.put(v.ID, &v)
	t.event(Event{Type: "server.put", Message: "server " + v.ID + " is reached at " + v.APIAddress})
	return Answer{}, nil
}

// RemoveServer forgets a server. One that is not there is no error.
func (t *Txn) RemoveServer(id string) (Answer, *model.Error) {
	if !t.tb.servers.has(id) {
		return Answer{}, nil
	}
	t.tb.servers.remove(id)
	t.event(Event{Type: "server.removed", Message: "server " + id + " was removed"})
	return Answer{Count: 1}, nil
}
