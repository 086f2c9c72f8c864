package fsm

import (
	"cmp"
	"math"
)

// storeTree is an immutable AVL tree of values by place; nil is the empty one. Writers make a new one, which shares what has not changed: so a reader needs no lock, a snapshot is a
// pointer, and lists come in order. Its shape depends on its history; nothing that is replicated depends on its shape.
type storeTree struct {
	value       *Stored
	left, right *storeTree
	height      int8
	due         int64 // the earliest time (Unix ms) at which a value in it is over
}

// soonest is due, of the empty tree too.
func (t *storeTree) soonest() int64 {
	if t == nil {
		return math.MaxInt64
	}
	return t.due
}

func (t *storeTree) tall() int8 {
	if t == nil {
		return 0
	}
	return t.height
}

// newStoreTree joins two trees whose heights differ by at most one.
func newStoreTree(left *storeTree, v *Stored, right *storeTree) *storeTree {
	due := min(left.soonest(), right.soonest())
	if v.expires != 0 {
		due = min(due, v.expires)
	}
	return &storeTree{value: v, left: left, right: right, height: max(left.tall(), right.tall()) + 1, due: due}
}

// balanced joins two trees whose heights differ by at most two: Adelson-Velsky and Landis' rotations.
func balanced(left *storeTree, v *Stored, right *storeTree) *storeTree {
	switch l, r := left.tall(), right.tall(); {
	case l > r+1:
		if left.left.tall() >= left.right.tall() {
			return newStoreTree(left.left, left.value, newStoreTree(left.right, v, right))
		}
		mid := left.right
		return newStoreTree(newStoreTree(left.left, left.value, mid.left), mid.value, newStoreTree(mid.right, v, right))
	case r > l+1:
		if right.right.tall() >= right.left.tall() {
			return newStoreTree(newStoreTree(left, v, right.left), right.value, right.right)
		}
		mid := right.left
		return newStoreTree(newStoreTree(left, v, mid.left), mid.value, newStoreTree(mid.right, right.value, right.right))
	}
	return newStoreTree(left, v, right)
}

// get finds the value at a place, nil for none.
func (t *storeTree) get(place string) *Stored {
	for t != nil {
		switch c := cmp.Compare(place, t.value.place); {
		case c < 0:
			t = t.left
		case c > 0:
			t = t.right
		default:
			return t.value
		}
	}
	return nil
}

// with has v, in the place of what was there.
func (t *storeTree) with(v *Stored) *storeTree {
	if t == nil {
		return newStoreTree(nil, v, nil)
	}
	switch c := cmp.Compare(v.place, t.value.place); {
	case c < 0:
		return balanced(t.left.with(v), t.value, t.right)
	case c > 0:
		return balanced(t.left, t.value, t.right.with(v))
	}
	return newStoreTree(t.left, v, t.right)
}

// without lacks what was at the place; t itself when nothing was.
func (t *storeTree) without(place string) *storeTree {
	if t.get(place) == nil {
		return t
	}
	return t.remove(place)
}

// remove takes out what is there.
func (t *storeTree) remove(place string) *storeTree {
	switch c := cmp.Compare(place, t.value.place); {
	case c < 0:
		return balanced(t.left.remove(place), t.value, t.right)
	case c > 0:
		return balanced(t.left, t.value, t.right.remove(place))
	case t.left == nil:
		return t.right
	case t.right == nil:
		return t.left
	}
	next := t.right
	for next.left != nil {
		next = next.left
	}
	return balanced(t.left, next.value, t.right.remove(next.value.place))
}

// walk calls visit for each value from a place on, in order, until that says false. It tells whether it went to the end.
func (t *storeTree) walk(from string, visit func(*Stored) bool) bool {
	for t != nil {
		if t.value.place < from {
			t = t.right
			continue
		}
		if !t.left.walk(from, visit) || !visit(t.value) {
			return false
		}
		t = t.right
	}
	return true
}

// walkDue is walk over the values whose time is over at now (Unix ms); it looks into no part of the tree that has none.
func (t *storeTree) walkDue(from string, now int64, visit func(*Stored) bool) bool {
	for t != nil && t.due <= now {
		if t.value.place < from {
			t = t.right
			continue
		}
		if !t.left.walkDue(from, now, visit) || t.value.expires != 0 && t.value.expires <= now && !visit(t.value) {
			return false
		}
		t = t.right
	}
	return true
}
