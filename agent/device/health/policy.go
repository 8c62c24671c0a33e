package health

import (
	"bytes"
	_ "embed" // the default policy
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
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
	Restart
	Suspicion
	Quarantine
	Replace
)

var actionWords = map[string]Action{"note": Note, "restart": Restart, "suspect": Suspicion, "quarantine": Quarantine, "rma": Replace}

// Scope is how far a fault reaches.
type Scope uint8

// Scopes.
const (
	// OfDevice: the device where it is seen. The zero value.
	OfDevice Scope = iota
	// OfIsland: all devices that it is directly linked with, and theirs.
	OfIsland
	// OfHost: all devices of the host, and the host itself.
	OfHost
)

var scopeWords = map[string]Scope{"": OfDevice, "device": OfDevice, "island": OfIsland, "host": OfHost}

// Policy says what to make of signals. It is immutable once loaded.
type Policy struct {
	unlisted                Action
	calm, repair, probation model.Duration
	wear                    int // quarantines within wearWithin after which there are no more
	wearWithin              model.Duration
	test                    bool
	rules                   map[string]rule
}

type rule struct {
	do, then Action
	repeat   int
	within   model.Duration
	scope    Scope
	finish   bool
	reset    bool
	tell     bool
}

type rawPolicy struct {
	Unlisted  string      `yaml:"unlisted"`
	Calm      string      `yaml:"calm"`
	Repair    string      `yaml:"repair"`
	Probation string      `yaml:"probation"`
	Wear      rawWear     `yaml:"wear"`
	Signals   []rawSignal `yaml:"signals"`
}

type rawWear struct {
	Quarantines int    `yaml:"quarantines"`
	Within      string `yaml:"within"`
}

type rawSignal struct {
	Code    string `yaml:"code"`
	Do      string `yaml:"do"`
	Scope   string `yaml:"scope"`
	Running string `yaml:"running"`
	Reset   bool   `yaml:"reset"`
	Tell    bool   `yaml:"tell"`
	Repeat  int    `yaml:"repeat"`
	Within  string `yaml:"within"`
	Then    string `yaml:"then"`
	Why     string `yaml:"why"`
}

// Default returns the embedded policy.
func Default() (*Policy, error) { return Parse("policy.yaml", defaultPolicy) }

// WithTest returns the policy of an agent that has a test for repaired devices.
func (p *Policy) WithTest() *Policy {
	c := *p
	c.test = true
	return &c
}

// maxRepeat bounds how often a signal has to be seen; more is not remembered.
const maxRepeat = maxPast

// reader reads a policy and gathers what is wrong with it, each with its line.
type reader struct {
	file   string
	text   []byte
	faults []error
}

// fault notes what is wrong with a top-level field, or with the row of a code.
func (f *reader) fault(where, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%s:%d: %s: "+format, append([]any{f.file, f.line(where), where}, args...)...))
}

// line is where a field or the row of a code begins, counted from 1.
func (f *reader) line(where string) int {
	name, _, _ := strings.Cut(where, ":")
	quoted := regexp.QuoteMeta(name)
	at := regexp.MustCompile(`(?m)^` + quoted + `\s*:|\bcode\s*:\s*["']?` + quoted + `["']?\s*(,|\}|#|$)`).FindIndex(f.text)
	if at == nil {
		return 1
	}
	return 1 + bytes.Count(f.text[:at[0]], []byte("\n"))
}

func (f *reader) action(where, text string) Action {
	a, ok := actionWords[text]
	if !ok {
		f.fault(where, "%q must be note, restart, suspect, quarantine or rma", text)
	}
	return a
}

func (f *reader) span(where, text string) model.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		f.fault(where, "%q must be a time such as 10m", text)
	}
	return model.Duration(d.Milliseconds())
}

// placed is how the YAML reader says where it is.
var placed = regexp.MustCompile(`^\[(\d+):(\d+)\] `)

// Parse reads a policy. Errors begin with the file's name, as it is given, and the line.
func Parse(file string, text []byte) (*Policy, error) {
	var raw rawPolicy
	if err := yaml.UnmarshalWithOptions(text, &raw, yaml.Strict()); err != nil {
		said := err.Error()
		if m := placed.FindStringSubmatch(said); m != nil {
			said = fmt.Sprintf("%s:%s: %s", m[1], m[2], said[len(m[0]):])
		}
		return nil, fmt.Errorf("%s:%s", file, said)
	}
	p := &Policy{rules: make(map[string]rule)}
	f := reader{file: file, text: text}
	p.unlisted = f.action("unlisted", raw.Unlisted)
	p.calm, p.repair, p.probation = f.span("calm", raw.Calm), f.span("repair", raw.Repair), f.span("probation", raw.Probation)
	p.wear, p.wearWithin = raw.Wear.Quarantines, f.span("wear: within", raw.Wear.Within)
	if p.wear < 2 || p.wear > maxRepeat {
		f.fault("wear: quarantines", "it is %d, must be 2 to %d", p.wear, maxRepeat)
	}
	for _, s := range raw.Signals {
		if _, double := p.rules[s.Code]; double || s.Code == "" || s.Why == "" || strings.Contains(s.Code, "@") || len(s.Code) > model.MaxFaultCode {
			f.fault(s.Code, "each signal has one row, with a why, and a code of letters, digits and '-'")
		}
		p.rules[s.Code] = f.rule(s)
	}
	return p, errors.Join(f.faults...)
}

func (f *reader) rule(s rawSignal) rule {
	r := rule{do: f.action(s.Code+": do", s.Do), reset: s.Reset, tell: s.Tell, finish: s.Running == "finish"}
	var ok bool
	if r.scope, ok = scopeWords[s.Scope]; !ok {
		f.fault(s.Code, "scope %q must be device, island or host", s.Scope)
	}
	if s.Running != "" && s.Running != "finish" && s.Running != "evict" {
		f.fault(s.Code, "running %q must be finish or evict", s.Running)
	}
	if s.Repeat != 0 || s.Within != "" || s.Then != "" {
		r.then, r.repeat, r.within = f.action(s.Code+": then", s.Then), s.Repeat, f.span(s.Code+": within", s.Within)
		if r.repeat < 2 || r.repeat > maxRepeat {
			f.fault(s.Code, "repeat is %d, must be 2 to %d", r.repeat, maxRepeat)
		}
	}
	return r
}

// Scope returns how far a fault of that code reaches.
func (p *Policy) Scope(code string) Scope { return p.rule(code).scope }

// Blames reports whether a fault of that code explains the failure of a task on the device.
func (p *Policy) Blames(code string) bool { return p.rule(code).do >= Restart }

func (p *Policy) rule(code string) rule {
	r, listed := p.rules[code]
	if !listed {
		return rule{do: p.unlisted}
	}
	return r
}

// judge says what a signal amounts to now that it was seen so often.
func (p *Policy) judge(r Record, code string, now model.Time) Action {
	rule := p.rule(code)
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

// counts reports whether any signal is present that keeps the device from being well.
func (p *Policy) counts(r Record, now model.Time) bool {
	return slices.ContainsFunc(r.Present, func(present string) bool {
		code, _, _ := strings.Cut(present, "@")
		return p.judge(r, code, now) >= Suspicion
	})
}

// worn reports whether one more quarantine is one too many.
func (p *Policy) worn(r Record, now model.Time) bool {
	n := 1
	for _, at := range r.Out {
		if now-at <= model.Time(p.wearWithin) {
			n++
		}
	}
	return n >= p.wear
}
