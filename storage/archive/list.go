package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// Entry is one file of a directory of archives.
type Entry struct {
	Path   string
	Size   int64 // in bytes
	Header Header
	// Err says why the header cannot be read; Header is empty then. That it can be read does not mean that the rest is whole.
	Err error
}

// List reads the headers of all files of dir that have the name of an archive: by group, the older state first, then those that cannot be read.
func List(dir string) ([]Entry, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list archives: %w", err)
	}
	list := []Entry{}
	for _, e := range names {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), Ext) || e.IsDir() {
			continue
		}
		list = append(list, inspect(filepath.Join(dir, e.Name())))
	}
	Sort(list)
	return list, nil
}

// Sort puts a list into the order of List.
func Sort(list []Entry) {
	slices.SortStableFunc(list, func(a, b Entry) int {
		switch {
		case a.Err != nil || b.Err != nil:
			return boolOrder(a.Err != nil, b.Err != nil)
		case a.Header.GroupID != b.Header.GroupID:
			return strings.Compare(a.Header.GroupName+"\x00"+a.Header.GroupID, b.Header.GroupName+"\x00"+b.Header.GroupID)
		}
		return a.Header.compare(b.Header)
	})
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// inspect reads the header of one file.
func inspect(path string) Entry {
	e := Entry{Path: path}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path) // opening a pipe would wait for whoever writes into it
	}
	if err != nil {
		e.Err = err
		return e
	}
	e.Size = info.Size()
	f, err := os.Open(path)
	if err != nil {
		e.Err = err
		return e
	}
	defer f.Close()
	r, err := NewReader(f)
	if err != nil {
		e.Err = err
		return e
	}
	defer r.Close()
	e.Header = r.Header()
	return e
}

// Outdated picks from list, in the order of List, the older archives of the group of h, so that keep (at least 1) are left. The archive of h itself stays
// whatever its age; archives of other groups, and what cannot be read, are never picked. Those that a schedule made are counted apart from those that
// somebody made by hand: h says which are meant.
func Outdated(list []Entry, h Header, keep int) []Entry {
	list = slices.DeleteFunc(slices.Clone(list), func(e Entry) bool {
		return e.Err != nil || e.Header.GroupID != h.GroupID || e.Header.Scheduled != h.Scheduled || e.Header.compare(h) == 0
	})
	return list[:max(0, len(list)-(max(keep, 1)-1))]
}

// Prune removes the Outdated archives from dir and gives the paths of those that went.
func Prune(dir string, h Header, keep int) ([]string, error) {
	if keep < 1 {
		return nil, fmt.Errorf("remove old archives: keep %d: at least 1 must stay", keep)
	}
	list, err := List(dir)
	if err != nil {
		return nil, fmt.Errorf("remove old archives: %w", err)
	}
	var gone []string
	var errs []error
	for _, e := range Outdated(list, h, keep) {
		if err := os.Remove(e.Path); err != nil {
			errs = append(errs, fmt.Errorf("remove old archives: %w", err))
			continue
		}
		failpoint.Hit(failpoint.ArchivePruned)
		gone = append(gone, e.Path)
	}
	return gone, errors.Join(errs...)
}
