// Package preset writes job files for kinds of work that people do every day: package transcode a
// ladder of renditions, package render the frames of a scene, package train a training script. What
// they write is an ordinary job file with comments, so that whoever wants more than the preset
// offers can begin with it.
//
// The packages read no files and start nothing; the command line does. What a user gave (paths,
// names) stands in the job file as environment variables and never within a script, so that no path
// can become shell text.
package preset

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// nameBytes is how long a job's name may become here; job ids append a number to it.
const nameBytes = 48

// unnamed is what may not stand in a job's name.
var unnamed = regexp.MustCompile(`[^a-z0-9]+`)

// Name makes a job's name of what is done and to which file: transcode-holiday.
func Name(verb, path string) string {
	return Slug(verb + "-" + strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

// Slug writes a text in the letters that a job's name may have; "" if nothing is left of it.
func Slug(text string) string {
	name := strings.Trim(unnamed.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if len(name) > nameBytes {
		name = strings.TrimRight(name[:nameBytes], "-")
	}
	return name
}

// Quote writes a text as a YAML scalar in double quotes, in which YAML and JSON are one.
func Quote(text string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// indent moves every line but the first, and no empty one, to the right.
func indent(spaces int, text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+strings.Repeat(" ", spaces))
}

// Template parses the template of a job file. Beside text/template's own functions it has quote, see
// Quote, and indent, which moves the further lines of a text by a number of spaces.
func Template(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"quote": Quote, "indent": indent}).Parse(text)
}

// Write fills in a template and returns the job file.
func Write(t *template.Template, values any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
