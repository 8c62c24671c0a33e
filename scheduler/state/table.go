package state

import (
	"cmp"
	"iter"

	"github.com/tidwall/btree"
)

// table is an ordered map with O(1) copies. The copy and the original share
// nodes until one of them is written. Only the writer may call copy, because
// it marks the source; reads may run at the same time on any goroutine.
type table[K cmp.Ordered, V any] struct{ m *btree.Map[K, V] }

func newTable[K cmp.Ordered, V any]() table[K, V] {
	return table[K, V]{m: new(btree.Map[K, V])}
}

func (t table[K, V]) copy() table[K, V] { return table[K, V]{m: t.m.Copy()} }

func (t table[K, V]) len() int { return t.m.Len() }

func (t table[K, V]) get(k K) (V, bool) { return t.m.Get(k) }

func (t table[K, V]) has(k K) bool {
	_, ok := t.m.Get(k)
	return ok
}

// put uses Load, which appends in O(1) where k is the largest key, as it is
// for new jobs and in a restore, and inserts otherwise.
func (t table[K, V]) put(k K, v V) { t.m.Load(k, v) }

// putNew is put for a key that must not be there yet; it reports whether that
// was so.
func (t table[K, V]) putNew(k K, v V) bool {
	_, replaced := t.m.Load(k, v)
	return !replaced
}

func (t table[K, V]) remove(k K) { t.m.Delete(k) }

// all yields every entry in key order. The table must not change meanwhile.
func (t table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.m.Scan(yield) }
}

// from yields the entries whose key is at least k, in key order.
func (t table[K, V]) from(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.m.Ascend(k, yield) }
}

// downFrom yields the entries whose key is at most k, largest first.
func (t table[K, V]) downFrom(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.m.Descend(k, yield) }
}

// index is an ordered set of composite keys with O(1) copies, under the same
// rules as table.
type index[T any] struct{ m *btree.BTreeG[T] }

func newIndex[T any](less func(a, b T) bool) index[T] {
	return index[T]{m: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (x index[T]) copy() index[T] { return index[T]{m: x.m.Copy()} }

func (x index[T]) len() int { return x.m.Len() }

func (x index[T]) put(k T) { x.m.Load(k) }

func (x index[T]) remove(k T) { x.m.Delete(k) }

func (x index[T]) has(k T) bool {
	_, ok := x.m.Get(k)
	return ok
}

func (x index[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) { x.m.Scan(yield) }
}

func (x index[T]) from(k T) iter.Seq[T] {
	return func(yield func(T) bool) { x.m.Ascend(k, yield) }
}
