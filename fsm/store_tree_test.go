package fsm

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// wantBalanced checks the shape of a tree and gives its values in order.
func wantBalanced(t tester, tree *storeTree) (places []string) {
	t.Helper()
	if tree == nil {
		return nil
	}
	if d := tree.left.tall() - tree.right.tall(); d < -1 || d > 1 || tree.height != max(tree.left.tall(), tree.right.tall())+1 {
		t.Fatalf("heights %d and %d below %d", tree.left.tall(), tree.right.tall(), tree.height)
	}
	due := min(tree.left.soonest(), tree.right.soonest())
	if tree.value.expires != 0 {
		due = min(due, tree.value.expires)
	}
	if tree.due != due {
		t.Fatalf("due at %d, want %d", tree.due, due)
	}
	return append(append(wantBalanced(t, tree.left), tree.value.place), wantBalanced(t, tree.right)...)
}

// TestStoreTreeIsAMap: whatever is put in and taken out, the tree has what a map has, in order, balanced; and the trees before stay what they were.
func TestStoreTreeIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree *storeTree
		model := map[string]*Stored{}
		var old *storeTree
		var oldPlaces []string
		for i := range rapid.IntRange(1, 120).Draw(t, "steps") {
			place := fmt.Sprintf("%03d", rapid.IntRange(0, 60).Draw(t, "place"))
			if rapid.Bool().Draw(t, "put") {
				v := &Stored{place: place, Version: uint64(i), expires: int64(rapid.IntRange(0, 9).Draw(t, "expires"))}
				tree, model[place] = tree.with(v), v
			} else {
				tree = tree.without(place)
				delete(model, place)
			}
			places := wantBalanced(t, tree)
			if !slices.Equal(places, slices.Sorted(maps.Keys(model))) {
				t.Fatalf("%q, want %q", places, slices.Sorted(maps.Keys(model)))
			}
			if v := tree.get(place); v != model[place] {
				t.Fatalf("%s: %+v, want %+v", place, v, model[place])
			}
			if i == 60 {
				old, oldPlaces = tree, places
			}
		}
		if got := wantBalanced(t, old); !slices.Equal(got, oldPlaces) {
			t.Fatalf("a tree has changed: %q, was %q", got, oldPlaces)
		}
		from := fmt.Sprintf("%03d", rapid.IntRange(0, 61).Draw(t, "from"))
		var walked []string
		whole := tree.walk(from, func(v *Stored) bool { walked = append(walked, v.place); return true })
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(p string) bool { return p < from })
		if !whole || !slices.Equal(walked, want) {
			t.Fatalf("from %s: %q, want %q", from, walked, want)
		}
		now := int64(rapid.IntRange(0, 9).Draw(t, "now"))
		var over []string
		tree.walkDue(from, now, func(v *Stored) bool { over = append(over, v.place); return true })
		want = slices.DeleteFunc(want, func(p string) bool { return model[p].expires == 0 || model[p].expires > now })
		if !slices.Equal(over, want) {
			t.Fatalf("over at %d: %q, want %q", now, over, want)
		}
		want = walked
		n := 0
		if whole := tree.walk(from, func(*Stored) bool { n++; return n < 2 }); len(want) >= 2 && (whole || n != 2) {
			t.Fatalf("%d visited", n)
		}
	})
}

// TestStoreTreeStaysFlat: keys that come in order, which is the worst for a tree without rotations.
func TestStoreTreeStaysFlat(t *testing.T) {
	var tree *storeTree
	for i := range 1 << 12 {
		tree = tree.with(&Stored{place: fmt.Sprintf("%06d", i)})
	}
	wantBalanced(t, tree)
	if tree.height > 13 {
		t.Errorf("%d levels for 4096 values", tree.height)
	}
}
