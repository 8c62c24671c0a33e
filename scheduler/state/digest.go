package state

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"reflect"
	"slices"
	"strings"
)

// Digest returns a fingerprint of everything replicated in a snapshot. Servers
// that applied the same commands have equal digests, also when one of them
// was restored on the way. Derived data and events take no part.
//
// It walks tables in key order and every field of every record by reflection,
// so that a field added to a record is covered without anybody's remembering.
func Digest(s *Snapshot) [32]byte {
	d := digester{h: sha256.New()}
	d.add(s.t.meta)
	for j := range s.Jobs() {
		d.add(j)
	}
	for j := range s.SweptJobs() {
		d.add(j)
	}
	for r := range s.Tasks() {
		d.add(r)
	}
	for a := range s.Allocations() {
		d.add(a)
	}
	for n := range s.Nodes() {
		d.add(n)
	}
	for q := range s.Queues() {
		d.add(q)
	}
	for l := range s.Limits() {
		d.add(l)
	}
	for r := range s.Requests() {
		d.add(r)
	}
	for v := range s.Servers() {
		d.add(v)
	}
	for r := range s.HealthRecords() {
		d.add(r)
	}
	d.flush()
	return [32]byte(d.h.Sum(nil))
}

// digester feeds records to a hash in a form in which no two differ in value
// and agree in bytes: everything of variable length is preceded by its length.
type digester struct {
	h   hash.Hash
	buf []byte
}

const digestBuffer = 32 << 10

// add hashes one record, preceded by its type.
func (d *digester) add(record any) {
	v := reflect.Indirect(reflect.ValueOf(record))
	d.text(v.Type().Name())
	d.value(v)
	if len(d.buf) >= digestBuffer {
		d.flush()
	}
}

func (d *digester) flush() {
	d.h.Write(d.buf)
	d.buf = d.buf[:0]
}

func (d *digester) text(s string) {
	d.buf = binary.AppendUvarint(d.buf, uint64(len(s)))
	d.buf = append(d.buf, s...)
}

func (d *digester) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		d.buf = append(d.buf, 0)
		if v.Bool() {
			d.buf[len(d.buf)-1] = 1
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.buf = binary.AppendVarint(d.buf, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.buf = binary.AppendUvarint(d.buf, v.Uint())
	case reflect.String:
		d.text(v.String())
	case reflect.Pointer:
		d.buf = append(d.buf, 0)
		if !v.IsNil() {
			d.buf[len(d.buf)-1] = 1
			d.value(v.Elem())
		}
	case reflect.Slice:
		d.buf = binary.AppendUvarint(d.buf, uint64(v.Len()))
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			d.value(v.Field(i))
		}
	case reflect.Map:
		keys := v.MapKeys() //caravan:unordered sorted in the next line
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		d.buf = binary.AppendUvarint(d.buf, uint64(len(keys)))
		for _, k := range keys {
			d.text(k.String())
			d.value(v.MapIndex(k))
		}
	default:
		must(false, "a record has a field of kind %s, of which there is no digest", v.Kind())
	}
}
