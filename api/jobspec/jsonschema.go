package jobspec

import (
	"bytes"
	"encoding/json"
)

// JSONSchema gives the JSON Schema (draft 7) of a job file, for editors. It
// says what an editor can check while typing; Parse checks more.
func JSONSchema() []byte {
	schema := objectEditor(jobObject())
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "Caravan job file"
	definitions := make(map[string]any)
	for _, o := range partObjects() {
		definitions[o.id] = objectEditor(o)
	}
	schema["definitions"] = definitions
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(schema) // maps, lists, texts and numbers always have a form
	return out.Bytes()
}

// refEditor refers to an object's definition. Draft 7 ignores what stands beside
// a $ref, such as the description of a field, so it is wrapped.
func refEditor(o *object) map[string]any {
	return map[string]any{"allOf": []any{map[string]any{"$ref": "#/definitions/" + o.id}}}
}

// objectEditor gives the JSON Schema of an object.
func objectEditor(o *object) map[string]any {
	properties := make(map[string]any, len(o.fields))
	var required []string
	for _, f := range o.fields {
		property := f.is.editor()
		property["description"] = f.sentence()
		properties[f.name] = property
		if f.required {
			required = append(required, f.name)
		}
	}
	schema := map[string]any{
		"type": "object", "description": o.doc,
		"properties": properties, "additionalProperties": false,
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// sentence is a field's doc with its default and an example.
func (f field) sentence() string {
	text := f.doc
	if f.unset != "" {
		text += " Default: " + f.unset + "."
	}
	return text + " Example: " + f.name + ": " + f.example
}
