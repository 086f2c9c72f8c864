package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// put writes an archive of h into dir, as its callers do.
func put(t *testing.T, dir string, h Header) string {
	t.Helper()
	f, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if _, err := f.Write(written(t, h, text(1000))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, h.Name())
	if err := f.Commit(path, false); err != nil {
		t.Fatal(err)
	}
	return path
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func TestAFileHasItsNameWhenItIsWhole(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := List(dir); err != nil || len(list) != 0 {
		t.Errorf("while it is written: %v, %v", list, err)
	}
	f.Discard()
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("given up, but there is %v", left)
	}
	path := put(t, dir, testHeader())
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("there is %v", left)
	}
	g, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	if err := g.Commit(path, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	if e := inspect(path); e.Err != nil {
		t.Errorf("what was there is gone: %v", e.Err)
	}
	if err := g.Commit(path, true); err != nil {
		t.Error(err)
	}
	if e := inspect(path); e.Size != 0 {
		t.Errorf("not replaced: %d bytes", e.Size)
	}
	if _, err := Create(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// TestRemainsGo: what a process left that died goes once it is old; what is being written stays, however old.
func TestRemainsGo(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * partAge)
	dead := filepath.Join(dir, partPrefix+"1.part")
	fresh := filepath.Join(dir, partPrefix+"2.part")
	for _, p := range []string{dead, fresh} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	for _, p := range []string{dead, f.Name()} {
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	g, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	got := names(t, dir)
	if slices.Contains(got, filepath.Base(dead)) || !slices.Contains(got, filepath.Base(fresh)) || !slices.Contains(got, filepath.Base(f.Name())) {
		t.Errorf("there is %v", got)
	}
}

func TestListAndPrune(t *testing.T) {
	dir := t.TempDir()
	at := func(epoch uint32, index uint64) Header {
		h := testHeader()
		h.Epoch, h.Index, h.Confirmed = epoch, index, index
		return h
	}
	other := at(1, 1)
	other.GroupID = "another"
	paths := []string{put(t, dir, at(1, 900)), put(t, dir, at(1, 1000)), put(t, dir, at(2, 20)), put(t, dir, at(2, 100))}
	stranger := put(t, dir, other)
	broken := filepath.Join(dir, "aaa"+Ext)
	if err := os.WriteFile(broken, []byte("HFBACKUP nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"+Ext), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "readme"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Path)
		if (e.Err != nil) != (e.Path == broken) {
			t.Errorf("%s: %v", e.Path, e.Err)
		}
	}
	if want := append(slices.Clone(paths), stranger, broken); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	gone, err := Prune(dir, at(2, 100), 2)
	if err != nil || !slices.Equal(gone, paths[:2]) {
		t.Errorf("removed %v, %v", gone, err)
	}
	// The one that was just made stays even when it is the oldest: a group that was restored from an old archive begins again below.
	gone, err = Prune(dir, at(2, 20), 1)
	if err != nil || !slices.Equal(gone, paths[3:]) {
		t.Errorf("removed %v, %v", gone, err)
	}
	if got := names(t, dir); len(got) != 5 {
		t.Errorf("left: %v", got)
	}
	if _, err := Prune(dir, at(2, 20), 0); err == nil {
		t.Error("nothing would have been kept")
	}
}

func TestListMeetsWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "link"+Ext)); err != nil {
		t.Fatal(err)
	}
	list, err := List(dir)
	if err != nil || len(list) != 1 || !errors.Is(list[0].Err, fs.ErrNotExist) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := List(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestCreateInAMissingDirectory: what is missing is said, not the name of a file that nobody knows.
func TestCreateInAMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount")
	if _, err := Create(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the directory "+dir+" is missing") || strings.Contains(err.Error(), ".part") {
		t.Errorf("got %v", err)
	}
}
