package view

import (
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Scrub replaces, in place, whatever a terminal would act upon in the texts of
// a message: labels, exit messages and attributes are other people's.
func Scrub(m proto.Message) { scrub(m.ProtoReflect()) }

func scrub(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			scrubMap(f, v.Map())
		case f.IsList():
			list := v.List()
			for i := range list.Len() {
				list.Set(i, scrubValue(f, list.Get(i)))
			}
		default:
			m.Set(f, scrubValue(f, v))
		}
		return true
	})
}

func scrubMap(f protoreflect.FieldDescriptor, m protoreflect.Map) {
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		clean := k
		if f.MapKey().Kind() == protoreflect.StringKind {
			clean = protoreflect.ValueOfString(printable(k.String())).MapKey()
		}
		m.Clear(k)
		m.Set(clean, scrubValue(f.MapValue(), v))
		return true
	})
}

func scrubValue(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		scrub(v.Message())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(printable(v.String()))
	}
	return v
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
