package jobspec

import (
	"bytes"
	"fmt"
	"strings"
)

// Reference gives the reference page of the job file in Markdown, generated
// from the same schema that Parse reads by.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# Job file\n\n")
	fmt.Fprintf(&b, "%s The file is YAML, at most %d bytes. Parse errors name file, line and column, all at once.\n", jobObject().doc, MaxFileBytes)
	job := &object{heading: jobObject().heading, doc: "What the job says as a whole.", fields: jobFields()}
	for _, o := range append([]*object{job}, partObjects()...) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", o.heading, o.doc)
		b.WriteString("| field | value | default | meaning | example |\n|---|---|---|---|---|\n")
		for _, f := range o.fields {
			unset := f.unset
			if f.required {
				unset = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s: %s` |\n", f.name, cell(f.is.words()), cell(unset), cell(f.doc), f.name, cell(f.example))
		}
	}
	b.WriteString(referenceConditions)
	return b.Bytes()
}

const referenceConditions = `
## Conditions

A condition stands under constraints, after the name of an attribute.

| written | holds when the attribute |
|---|---|
| ` + "`ga1`" + ` | is ga1 |
| ` + "`[ga1, gn5]`" + ` | is one of them |
| ` + "`\"!b\"`, `[\"!b\", \"!c\"]`" + ` | is none of them |
| ` + "`\">=3\"`, `\">3\"`, `\"<=3\"`, `\"<3\"`" + ` | is a number that compares so; at most three decimals |
| ` + "`\">=12GiB\"`" + ` | is a memory size, counted in MiB, that compares so |
| ` + "`[\">=3\", \"<8\"]`" + ` | meets all of the comparisons |
| ` + "`exists`" + ` | is there at all |
| ` + "`8`, `\"8\"`" + ` | is the number 8, is the text 8 |
| ` + "`\"=!b\"`" + ` | is the text !b: a text after = is taken as it stands |
`

// cell makes a text fit for a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
