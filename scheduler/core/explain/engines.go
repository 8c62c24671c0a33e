package explain

import (
	"strings"

	"caravan/scheduler/model"
)

// engine is one of the things that video engines offer.
type engine struct {
	what       string
	have, want int64 // thousandths
}

func engines(have, want model.Media) [3]engine {
	return [...]engine{
		{"encoder sessions", int64(have.Sessions) * 1000, int64(want.Sessions) * 1000},
		{"of encoding", int64(have.EncodeMilli), int64(want.EncodeMilli)},
		{"of decoding", int64(have.DecodeMilli), int64(want.DecodeMilli)},
	}
}

// engineWords writes what is asked for: "2 encoder sessions", "0.5 of encoding".
func engineWords(want model.Media) []string {
	var words []string
	for _, e := range engines(model.Media{}, want) {
		if e.want > 0 {
			words = append(words, model.FormatMilli(e.want)+" "+e.what)
		}
	}
	return words
}

// enginesOf writes what is short: "1 of 2 encoder sessions".
func enginesOf(have, want model.Media) string {
	var words []string
	for _, e := range engines(have, want) {
		if e.have < e.want {
			words = append(words, amount(model.FormatMilli(max(0, e.have)), model.FormatMilli(e.want), e.what))
		}
	}
	return strings.Join(words, ", ")
}
