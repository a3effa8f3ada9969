package archive

import "container/list"

// recently keeps what was used last, up to a weight.
type recently[K comparable, V any] struct {
	limit, sum int
	weight     func(V) int
	drop       func(V)
	order      *list.List
	items      map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newRecently[K comparable, V any](limit int, weight func(V) int, drop func(V)) *recently[K, V] {
	return &recently[K, V]{limit: limit, weight: weight, drop: drop, order: list.New(), items: map[K]*list.Element{}}
}

func (r *recently[K, V]) get(key K) (v V, ok bool) {
	e, ok := r.items[key]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(item[K, V]).value, true
}

// put keeps v under a key that is new, and lets go of the oldest.
func (r *recently[K, V]) put(key K, v V) {
	r.items[key] = r.order.PushFront(item[K, V]{key, v})
	r.sum += r.weight(v)
	for r.sum > r.limit && r.order.Len() > 1 {
		r.remove(r.order.Back())
	}
}

func (r *recently[K, V]) remove(e *list.Element) {
	old := r.order.Remove(e).(item[K, V])
	delete(r.items, old.key)
	r.sum -= r.weight(old.value)
	r.drop(old.value)
}

func (r *recently[K, V]) clear() {
	for r.order.Len() > 0 {
		r.remove(r.order.Back())
	}
}
