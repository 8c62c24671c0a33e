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

## Expressions

An expression stands after where: and is a text in the Common Expression Language (https://cel.dev). It is
checked when the job is read: a name that does not exist, a value of the wrong kind, a result that is not
true or false, or one that may cost too much, is an error at its place. It is evaluated once for nodes that
are alike. Where it fails, as by asking for an attribute that is not there, it is not true. A text that
YAML would take for something else goes in quotes or below ` + "`where: |`" + `.

| under | name | has |
|---|---|---|
| a group, a variant | ` + "`node`" + ` | ` + "`name`, `family`, `instance_type`, `zone`, `rack`" + ` (texts); ` + "`cpu`" + ` (cores, a decimal number); ` + "`memory`, `disk`" + ` (bytes); ` + "`simulated`" + ` (true or false); ` + "`devices`" + ` (a list of devices); ` + "`attributes`, `numbers`" + ` (what else the node advertises, texts and numbers by name) |
| a device request | ` + "`device`" + ` | ` + "`kind`, `vendor`, `model`, `image`" + ` (texts); ` + "`memory`" + ` (bytes); ` + "`share`" + ` (the part of a device that is offered); ` + "`fp32_tflops`, `fp64_tflops`, `compute_capability`" + ` (decimal numbers, 0 where not known); ` + "`attributes`, `numbers`" + ` |
| both | ` + "`KiB`, `MiB`, `GiB`, `TiB`" + ` | numbers of bytes, as in ` + "`node.memory >= 64 * GiB`" + ` |

| written | holds when |
|---|---|
| ` + "`node.cpu >= 32 && node.family in [\"gn5\", \"ga1\"]`" + ` | both hold |
| ` + "`node.zone != \"b\" \\|\\| node.rack.startsWith(\"r1\")`" + ` | one of them holds |
| ` + "`node.devices.exists(d, d.model == \"P100\" && d.memory >= 12 * GiB)`" + ` | the node has such a device, free or not |
| ` + "`node.numbers[\"licences\"] >= 2.0`" + ` | the node advertises the number, and it is that large |
| ` + "`has(node.attributes.driver) && node.attributes.driver.startsWith(\"535\")`" + ` | the attribute is there and begins so |
| ` + "`device.fp64_tflops >= 1.0 \\|\\| device.model == \"P100\"`" + ` | one of them holds of the device |
`

// cell makes a text fit for a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
