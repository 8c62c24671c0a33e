package state

import (
	"fmt"

	"caravan/scheduler/model"
)

func invalid(subject, message, hint string) *model.Error {
	return &model.Error{Kind: model.KindInvalid, Subject: subject, Message: message, Hint: hint}
}

// overloaded says that a table is at its bound.
func overloaded(subject, what string, limit int64, hint string) *model.Error {
	return &model.Error{
		Kind:    model.KindOverloaded,
		Subject: subject,
		Message: fmt.Sprintf("there are %d %s already, which is the limit", limit, what),
		Hint:    hint,
	}
}

func noJob(id string) *model.Error {
	return model.NotFound("job", id, "caravan status lists the jobs; those that ended long ago are dropped")
}

func noNode(name string) *model.Error {
	return model.NotFound("node", name, "caravan node list shows the nodes; its agent must register first")
}
