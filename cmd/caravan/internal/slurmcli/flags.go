package slurmcli

import (
	"fmt"
	"strings"
)

// flagSpec is a flag of a listing command: its long name, its letter, and whether it has a value.
type flagSpec struct {
	name   string
	letter byte
	value  bool
}

// flags are the values of the flags that were given, in order; "" for those without.
type flags map[string][]string

func (f flags) has(name string) bool { return len(f[name]) > 0 }

// last returns the value that counts.
func (f flags) last(name string) string {
	if v := f[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// list splits all values at commas and spaces.
func (f flags) list(name string) []string {
	return strings.FieldsFunc(strings.Join(f[name], ","), func(r rune) bool { return r == ',' || r == ' ' })
}

// parse reads flags and words in any order. A value may stand behind '=', behind the letter, or
// be the next word.
func parse(specs []flagSpec, args []string) (flags, []string, error) {
	f := make(flags)
	var words []string
	find := func(match func(flagSpec) bool) (flagSpec, bool) {
		for _, s := range specs {
			if match(s) {
				return s, true
			}
		}
		return flagSpec{}, false
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		next := func(what string) (string, error) {
			if i+1 >= len(args) {
				return "", fmt.Errorf("option '%s' requires an argument", what)
			}
			i++
			return args[i], nil
		}
		switch {
		case arg == "--":
			return f, append(words, args[i+1:]...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, given := strings.Cut(arg[2:], "=")
			s, ok := find(func(s flagSpec) bool { return s.name == name })
			if !ok {
				return nil, nil, fmt.Errorf("unrecognized option '--%s'", name)
			}
			if s.value && !given {
				var err error
				if value, err = next("--" + name); err != nil {
					return nil, nil, err
				}
			}
			f[s.name] = append(f[s.name], value)
		case len(arg) > 1 && arg[0] == '-':
			for k := 1; k < len(arg); k++ {
				s, ok := find(func(s flagSpec) bool { return s.letter == arg[k] })
				if !ok {
					return nil, nil, fmt.Errorf("invalid option -- '%c'", arg[k])
				}
				value := ""
				if s.value {
					if value = arg[k+1:]; value == "" {
						var err error
						if value, err = next("-" + arg[k:k+1]); err != nil {
							return nil, nil, err
						}
					}
					k = len(arg)
				}
				f[s.name] = append(f[s.name], value)
			}
		default:
			words = append(words, arg)
		}
	}
	return f, words, nil
}
