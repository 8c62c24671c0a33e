package nvidia

import (
	"strings"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// engines are the video engines of one GPU: NVIDIA's Video Encode and Decode GPU Support Matrix.
type engines struct{ encoders, decoders int64 }

// enginesOf returns what a model has: of models that the table lacks, one encoder if the driver tells
// of its capacity, and one decoder.
func enginesOf(g GPU) engines {
	if e, known := map[string]engines{
		"M40": {2, 1}, "M60": {2, 1}, "P4": {2, 1}, "P40": {2, 1}, "P100": {3, 1}, "V100": {3, 1}, "T4": {1, 2},
		"A2": {1, 2}, "A10": {1, 2}, "A16": {1, 2}, "A40": {1, 2}, "A30": {0, 4}, "A100": {0, 5},
		"L4": {2, 4}, "L40": {3, 3}, "L40S": {3, 3}, "H100": {0, 7}, "H200": {0, 7},
	}[model(g.Name)]; known {
		return e
	}
	e := engines{decoders: 1}
	if len(g.Encoder) > 0 {
		e.encoders = 1
	}
	return e
}

// Sessions at a time: GeForce cards refuse more; of others each encoder serves so many well.
const (
	geforceSessions = 8
	encoderSessions = 16
)

// media are the attributes by which video engines are counted. An instance of MIG has none: which of
// its GPU's engines it gets depends on its neighbours.
func media(g GPU, a map[string]*pluginv1.Attribute) {
	e := enginesOf(g)
	sessions := e.encoders * encoderSessions
	if strings.Contains(g.Name, "GeForce") {
		sessions = min(sessions, geforceSessions)
	}
	for name, n := range map[string]int64{"encoder_sessions": sessions, "encode": e.encoders, "decode": e.decoders} {
		if n > 0 && !g.divided() {
			a[name] = sdk.Number(n)
		}
	}
}
