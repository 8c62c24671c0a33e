// Package output writes API messages in the machine-readable formats of the
// command line's -o flag. JSON is protojson with all fields present, the same
// as the HTTP interface; YAML is that JSON written as YAML.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Format is a value of -o.
type Format string

// The formats. Table and Wide are for people, the others for programs.
const (
	Table Format = "table"
	Wide  Format = "wide"
	Name  Format = "name"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats lists every format.
func Formats() []string {
	return []string{string(Table), string(Wide), string(Name), string(JSON), string(YAML)}
}

// String, Set and Type make a Format a command line flag.
func (f *Format) String() string { return string(*f) }

// Set reads a format.
func (f *Format) Set(s string) error {
	if !slices.Contains(Formats(), s) {
		return fmt.Errorf("must be one of %s", strings.Join(Formats(), ", "))
	}
	*f = Format(s)
	return nil
}

// Type names the flag's value in help texts.
func (f *Format) Type() string { return "format" }

// Message writes a message as JSON or YAML.
func Message(w io.Writer, f Format, m proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	// protojson varies its spacing on purpose; people's diffs should not.
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	if f == YAML {
		text, err := yaml.JSONToYAML(b.Bytes())
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// Line writes a message as one line of JSON, for endless sequences.
func Line(w io.Writer, m proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}
