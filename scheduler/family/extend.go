package family

import (
	"errors"
	"regexp"
	"strings"
)

// Extend returns the catalogue with what an operator's file adds: devices and families of new names,
// and prices, power and sites for all. The file has the form of families.yaml; nothing in it is
// required but schema. The receiver stays as it is. Errors begin with file:line:column.
func (c *Catalogue) Extend(file string, src []byte) (*Catalogue, error) {
	extended, err := parse(src, c)
	if err != nil {
		return nil, located(file, err)
	}
	return extended, nil
}

// placed is an error that begins with its place, such as "[3:5] unknown field".
var placed = regexp.MustCompile(`^\[(\d+):(\d+)\] ([^\n]*)`)

// located writes the places of errors as editors and compilers do.
func located(file string, err error) error {
	var all []error
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			all = append(all, located(file, e))
		}
		return errors.Join(all...)
	}
	text := strings.TrimSpace(err.Error())
	if m := placed.FindStringSubmatch(text); m != nil {
		return errors.New(file + ":" + m[1] + ":" + m[2] + ": " + m[3])
	}
	return errors.New(file + ":1:1: " + text)
}
