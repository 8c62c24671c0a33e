package slurm

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a setting was written.
type Place struct {
	// Source is a file's name, a variable's, or "command line".
	Source string
	// Line and Col count from 1; 0 where the source has none.
	Line, Col int
}

// String writes the place as compilers do.
func (p Place) String() string {
	if p.Line == 0 {
		return p.Source
	}
	return p.Source + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
}

// Setting is one option with its value.
type Setting struct {
	// Name is the option's long name, without dashes.
	Name  string
	Value string
	Place Place
}

// Warning is something that was read and does not do what it would in Slurm.
type Warning struct {
	Place   Place
	Message string
}

// String writes the warning in one line.
func (w Warning) String() string { return w.Place.String() + ": warning: " + w.Message }

// Error is something that cannot be read, or that cannot be done.
type Error struct {
	Place   Place
	Message string
	// Hint says what to write instead; it may be empty.
	Hint string
}

// Error writes place, message and hint.
func (e *Error) Error() string {
	text := e.Place.String() + ": " + e.Message
	if e.Hint != "" {
		text += "\n   " + e.Hint
	}
	return text
}

// Directives reads the #SBATCH lines of a script: those before its first command. Options that
// do not exist are warnings, and so are directives that come too late.
func Directives(file, script string) (settings []Setting, warnings []Warning, err error) {
	const prefix = "#SBATCH"
	commands := false
	for i, line := range strings.Split(script, "\n") {
		line = strings.TrimSuffix(line, "\r")
		rest, is := strings.CutPrefix(line, prefix)
		trimmed := strings.TrimSpace(line)
		switch {
		case is && (rest == "" || rest[0] == ' ' || rest[0] == '\t'):
		case i > 0 && trimmed != "" && !strings.HasPrefix(trimmed, "#"):
			commands = true
			continue
		default:
			continue
		}
		place := Place{file, i + 1, 1}
		if commands {
			warnings = append(warnings, Warning{place, "ignored, because it comes after the first command of the script"})
			continue
		}
		words, err := split(rest, Place{file, i + 1, len(prefix) + 1})
		if err != nil {
			return nil, nil, err
		}
		more, left, warned, err := options(words, true)
		if err != nil {
			return nil, nil, err
		}
		for _, w := range left {
			warned = append(warned, Warning{w.place, fmt.Sprintf("%q is no option and is ignored", w.text)})
		}
		settings, warnings = append(settings, more...), append(warnings, warned...)
	}
	return settings, warnings, nil
}

// Flags reads the flags of a command line and returns the words after them. An option that
// does not exist is an error here, as it is for sbatch.
func Flags(args []string) (settings []Setting, rest []string, err error) {
	words := make([]word, len(args))
	for i, a := range args {
		words[i] = word{a, Place{Source: "command line"}}
	}
	settings, left, _, err := options(words, false)
	for _, w := range left {
		rest = append(rest, w.text)
	}
	return settings, rest, err
}

// Variables reads the SBATCH_ variables of an environment.
func Variables(getenv func(string) string) []Setting {
	var settings []Setting
	for _, o := range table() {
		name := "SBATCH_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
		if o.variable != "" {
			name = "SBATCH_" + o.variable
		}
		if v := getenv(name); v != "" && o.variable != "-" {
			settings = append(settings, Setting{o.name, v, Place{Source: name}})
		}
	}
	return settings
}

// word is a word of a line or of a command line.
type word struct {
	text  string
	place Place
}

// split takes a directive apart as a shell would, without expanding anything. A '#' at the
// beginning of a word begins a comment.
func split(text string, at Place) ([]word, error) {
	var words []word
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			return words, nil
		}
		place := Place{at.Source, at.Line, at.Col + i}
		var b strings.Builder
		var quote byte
		for ; i < len(text) && (quote != 0 || text[i] != ' ' && text[i] != '\t'); i++ {
			switch c := text[i]; {
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			case c == '\\' && quote != '\'' && i+1 < len(text):
				i++
				b.WriteByte(text[i])
			default:
				b.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, &Error{place, "a quote is not closed", "write the closing " + string(quote)}
		}
		words = append(words, word{b.String(), place})
	}
	return words, nil
}

// options reads options up to the first word that is none. With lenient set, those that do
// not exist are warnings, and words between options are skipped and returned.
func options(words []word, lenient bool) (settings []Setting, left []word, warnings []Warning, err error) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w.text == "--" {
			return settings, append(left, words[i+1:]...), warnings, nil
		}
		if len(w.text) < 2 || w.text[0] != '-' {
			if !lenient {
				return settings, append(left, words[i:]...), warnings, nil
			}
			left = append(left, w)
			continue
		}
		take := func() (string, bool) {
			if i+1 >= len(words) {
				return "", false
			}
			i++
			return words[i].text, true
		}
		more, unknown, err := option1(w, take)
		if err != nil {
			return nil, nil, nil, err
		}
		settings = append(settings, more...)
		if unknown == "" {
			continue
		}
		if !lenient {
			return nil, nil, nil, &Error{w.place, "there is no option " + unknown, near(unknown)}
		}
		warnings = append(warnings, Warning{w.place, "there is no option " + unknown + "; it is ignored"})
		if i+1 < len(words) && words[i+1].text != "" && words[i+1].text[0] != '-' && !strings.Contains(w.text, "=") {
			i++ // most likely its value
		}
	}
	return settings, left, warnings, nil
}

// option1 reads one word: a long option, or a bundle of short ones. unknown is an option that
// does not exist.
func option1(w word, take func() (string, bool)) (settings []Setting, unknown string, err error) {
	if long, ok := strings.CutPrefix(w.text, "--"); ok {
		name, value, given := strings.Cut(long, "=")
		o, ok := byName(name)
		if !ok {
			return nil, "--" + name, nil
		}
		switch {
		case o.takes == nothing && given:
			return nil, "", &Error{w.place, "--" + name + " takes no value", "write --" + name}
		case o.takes == something && !given:
			if value, given = take(); !given {
				return nil, "", &Error{w.place, "--" + name + " has no value", "write --" + name + "=VALUE"}
			}
		}
		return []Setting{{o.name, value, w.place}}, "", nil
	}
	for i := 1; i < len(w.text); i++ {
		o, ok := byLetter(w.text[i])
		if !ok {
			return settings, "-" + w.text[i:i+1], nil
		}
		if o.takes == nothing {
			settings = append(settings, Setting{o.name, "", w.place})
			continue
		}
		value := strings.TrimPrefix(w.text[i+1:], "=")
		if value == "" && o.takes == something {
			var given bool
			if value, given = take(); !given {
				return nil, "", &Error{w.place, "-" + w.text[i:i+1] + " has no value", "write --" + o.name + "=VALUE"}
			}
		}
		return append(settings, Setting{o.name, value, w.place}), "", nil
	}
	return settings, "", nil
}
