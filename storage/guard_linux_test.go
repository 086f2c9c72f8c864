package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// neverRead can be opened, and every read of its beginning is refused with EIO, as that of a bad sector is.
const neverRead = "/proc/self/mem"

// TestUnreadIsNotDamage: what the system does not give is told from bytes that are not those that were written, also where only a fault of the memory map
// shows it. Each of them names the file and the way out, and is a *CorruptError, with which a node does not start.
func TestUnreadIsNotDamage(t *testing.T) {
	gone := mapped(t) // all of it is behind the end of the file
	var entry raft.Log
	whole := filepath.Join(t.TempDir(), "whole")
	writeFile(t, whole, []byte("whole"))
	fault := func() error { return errors.New(string(gone)) }
	decode := func() error { return codec.NewDecoderBytes(gone, &codec.MsgpackHandle{}).Decode(&entry) }
	for name, c := range map[string]struct {
		path string
		f    func(path string) error
		want bool
	}{
		"a meta page":                   {neverRead, func(path string) error { _, err := readTx(path); return err }, true},
		"a mapped page":                 {neverRead, func(path string) error { return guard(path, fault) }, true},
		"a mapped page, in a decoder":   {neverRead, func(path string) error { return guard(path, decode) }, true},
		"a mapped page, in an entry":    {neverRead, func(path string) error { return guard(path, func() error { return decodeStored(gone, &entry) }) }, true},
		"a page that is not in the map": {whole, func(path string) error { return guard(path, fault) }, false},
		"the same, in a decoder":        {whole, func(path string) error { return guard(path, decode) }, false},
		"a panic of bbolt":              {whole, func(path string) error { return guard(path, func() error { panic("page 7: invalid page type") }) }, false},
		"a file that is too short":      {whole, func(path string) error { _, err := readTx(path); return err }, false},
	} {
		err := c.f(c.path)
		wantCorrupt(t, err, c.path)
		var corrupt *CorruptError
		if errors.As(err, &corrupt); corrupt.Unread() != c.want || errors.Is(err, unix.EIO) != c.want {
			t.Errorf("%s: unread %t, want %t: %v", name, !c.want, c.want, err)
		}
	}
}

// mapped gives the map of a file that was cut since.
func mapped(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mapped")
	writeFile(t, path, make([]byte, os.Getpagesize()))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	data, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(data) })
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	return data
}
