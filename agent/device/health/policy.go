package health

import (
	_ "embed" // the default policy
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"caravan/scheduler/model"
)

//go:embed policy.yaml
var defaultPolicy []byte

// Action is what is done about a signal, the mildest first.
type Action uint8

// Actions.
const (
	Note Action = iota + 1
	Suspicion
	Quarantine
	Replace
)

var actionWords = map[string]Action{"note": Note, "suspect": Suspicion, "quarantine": Quarantine, "rma": Replace}

// Policy says what to make of signals. It is immutable once loaded.
type Policy struct {
	unlisted                Action
	calm, repair, probation model.Duration
	rules                   map[string]rule
}

type rule struct {
	do, then Action
	repeat   int
	within   model.Duration
}

type rawPolicy struct {
	Unlisted  string      `yaml:"unlisted"`
	Calm      string      `yaml:"calm"`
	Repair    string      `yaml:"repair"`
	Probation string      `yaml:"probation"`
	Signals   []rawSignal `yaml:"signals"`
}

type rawSignal struct {
	Code   string `yaml:"code"`
	Do     string `yaml:"do"`
	Repeat int    `yaml:"repeat"`
	Within string `yaml:"within"`
	Then   string `yaml:"then"`
	Why    string `yaml:"why"`
}

// Default returns the embedded policy.
func Default() (*Policy, error) { return Parse(defaultPolicy) }

// maxRepeat bounds how often a signal has to be seen; more is not remembered.
const maxRepeat = maxPast

// Parse reads a policy. Errors name what is wrong.
func Parse(text []byte) (*Policy, error) {
	var raw rawPolicy
	if err := yaml.UnmarshalWithOptions(text, &raw, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("health policy: %w", err)
	}
	p := &Policy{rules: make(map[string]rule)}
	var faults []error
	action := func(where, word string) Action {
		a, ok := actionWords[word]
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %q must be note, suspect, quarantine or rma", where, word))
		}
		return a
	}
	span := func(where, text string) model.Duration {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			faults = append(faults, fmt.Errorf("%s: %q must be a time such as 10m", where, text))
		}
		return model.Duration(d.Milliseconds())
	}
	p.unlisted = action("unlisted", raw.Unlisted)
	p.calm, p.repair, p.probation = span("calm", raw.Calm), span("repair", raw.Repair), span("probation", raw.Probation)
	for _, s := range raw.Signals {
		if _, double := p.rules[s.Code]; double || s.Code == "" || s.Why == "" {
			faults = append(faults, fmt.Errorf("signal %q: each has one row, with a why", s.Code))
		}
		r := rule{do: action(s.Code+": do", s.Do)}
		if s.Repeat != 0 || s.Within != "" || s.Then != "" {
			r.then, r.repeat, r.within = action(s.Code+": then", s.Then), s.Repeat, span(s.Code+": within", s.Within)
			if r.repeat < 2 || r.repeat > maxRepeat {
				faults = append(faults, fmt.Errorf("%s: repeat is %d, must be 2 to %d", s.Code, r.repeat, maxRepeat))
			}
		}
		p.rules[s.Code] = r
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("health policy: %w", err)
	}
	return p, nil
}

// judge says what a signal amounts to now that it was seen so often.
func (p *Policy) judge(r Record, code string, now model.Time) Action {
	rule, listed := p.rules[code]
	if !listed {
		return p.unlisted
	}
	if rule.repeat == 0 {
		return rule.do
	}
	seen := 0
	for _, f := range r.Past {
		if f.Code == code && now-f.At <= model.Time(rule.within) {
			seen++
		}
	}
	if seen >= rule.repeat {
		return rule.then
	}
	return rule.do
}
