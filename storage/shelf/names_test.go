package shelf

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// syncs has a shelf tell which directories it syncs, and fail while *broken is set.
func syncs(b *bench, broken *error) *[]string {
	var list []string
	sync := b.names.sync
	b.names.sync = func(dir string) error {
		list = append(list, dir)
		if *broken != nil {
			return *broken
		}
		return sync(dir)
	}
	return &list
}

// TestSecondPutIsCertain: a process was killed after it had given a file its name, and before that was on the disk. Whoever puts or keeps the same bytes then is promised them no sooner than the names are.
func TestSecondPutIsCertain(t *testing.T) {
	data := []byte("one")
	h := sha256.Sum256(data)
	for name, again := range map[string]func(*bench) error{
		"put": func(b *bench) error { return b.Put(h, data) },
		"keep": func(b *bench) error {
			there, err := b.Keep(h)
			if !there {
				return nil // not here: that would be taken for lost
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "copies")
			broken := errors.New("killed")
			b := open(t, path, 1000)
			syncs(b, &broken)
			if err := b.Put(h, data); !errors.Is(err, broken) {
				t.Fatalf("%v", err)
			}
			b = open(t, path, 1000)
			list := syncs(b, &broken)
			b.wantUsage(t, 1, 3)
			if err := again(b); err == nil {
				t.Fatal("it was promised though no name is certain")
			}
			*list, broken = nil, nil
			if err := again(b); err != nil {
				t.Fatal(err)
			}
			file := b.file(h)
			for _, dir := range []string{filepath.Dir(file), path, filepath.Dir(path)} {
				if !slices.Contains(*list, dir) {
					t.Errorf("%s was not synced, only %q", dir, *list)
				}
			}
			*list = nil
			if err := again(b); err != nil || len(*list) != 0 {
				t.Errorf("what is certain was synced again: %q, %v", *list, err)
			}
			b.want(t, h, "one")
			b.wantUsage(t, 1, 3)
		})
	}
}

// TestPutBesideAPut: who puts the same bytes between the name and its sync waits for a sync of its own.
func TestPutBesideAPut(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	data := []byte("one")
	h := sha256.Sum256(data)
	b.put(t, "other") // so that the directories are there
	sync, first, synced := b.names.sync, true, 0
	b.names.sync = func(dir string) error {
		if dir != filepath.Dir(b.file(h)) {
			return sync(dir)
		}
		synced++
		if first {
			first = false
			if err := b.Put(h, data); err != nil || synced != 2 {
				t.Errorf("%d syncs, %v", synced, err)
			}
		}
		return sync(dir)
	}
	if err := b.Put(h, data); err != nil || first {
		t.Fatal(err, first)
	}
	b.wantUsage(t, 2, 8)
}
