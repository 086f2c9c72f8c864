package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A standby that goes on behind damage would write what no promotion can use, and one that does not go on would let the archive grow old while the group that could mend it is there. So the log of an archive ends
// before the first damage behind the newest whole state, as that of a node ends before a write that was torn, and is fetched anew from there. Nothing is thrown away: what was set aside is what there is if the group is lost first.

// AsideExt is how the names of segments end that were set aside; a number may follow.
const AsideExt = SegmentExt + ".damaged"

func ignore(Record) error { return nil }

// Mended says what was damaged in the directory when it was opened, and what has become of it; nothing when all was whole.
func (t *Trail) Mended() []error { return t.mended }

// Passed is damage in the log before the newest whole state, when the directory was opened: it stays where it is, and nobody needs it who has that state.
func (t *Trail) Passed() []error { return t.passed }

// mend sets aside what is damaged behind the newest whole state, and gives what is left. Damage before that state stays where it is: nobody needs it from there on.
func (t *Trail) mend() (contents, error) {
	for {
		c, err := readDir(t.dir)
		if err != nil {
			return c, err
		}
		lost := c.place()
		if len(lost) > 0 { // neither its head nor its name says where it belongs
			if errors.Is(lost[0].Err, ErrNewer) {
				return c, newer(lost[0].unread())
			}
			if err := t.setAside(lost[:1], lost[0].unread(), ""); err != nil {
				return c, err
			}
			continue
		}
		if len(c.bases) == 0 {
			return c, nil
		}
		w := walkBehind(c.segments, c.bases[len(c.bases)-1].Header)
		damage := w.run(ignore)
		switch {
		case damage == nil:
			return c, nil
		case errors.Is(damage, ErrNewer):
			return c, newer(damage)
		case !errors.Is(damage, ErrDamaged):
			return c, damage
		}
		if err := t.endBefore(w, damage); err != nil {
			return c, err
		}
	}
}

func newer(err error) error {
	return fmt.Errorf("%w: use a version that is as new as the one that wrote it; if there was none the file is damaged, and can be moved away", err)
}

// endBefore has the log end behind the last mark before the damage: what is behind that is proven by nothing.
func (t *Trail) endBefore(w *walk, damage error) error {
	at := w.at
	if !w.inside {
		at-- // the segment before may be the one that is wrong
	}
	rest := w.list[at+1:]
	if at < 0 {
		return t.setAside(rest, damage, "")
	}
	s := w.list[at]
	switch keep := w.read.Proven; {
	case keep == s.Size && len(rest) == 0: // nothing is behind what is good, and still it does not do: there is nothing to set aside
		return damage
	case keep == s.Size:
		return t.setAside(rest, damage, "")
	case keep == 0:
		return t.setAside(w.list[at:], damage, "")
	default:
		// The later ones go first: what is left is the beginning of what was there, whenever this breaks off.
		if err := t.setAside(rest, nil, ""); err != nil {
			return err
		}
		aside, err := t.shorten(s.Path, keep)
		if err != nil {
			return err
		}
		return t.setAside(nil, damage, aside)
	}
}

// setAside gives segments another name, the newest first, and takes note of the damage and of all that was set aside for it.
func (t *Trail) setAside(list []SegmentFile, damage error, already string) error {
	for i := len(list) - 1; i >= 0; i-- {
		name, err := asideName(list[i].Path)
		if err == nil {
			err = os.Rename(list[i].Path, name)
		}
		if err != nil {
			return fmt.Errorf("set aside what is damaged: %w", err)
		}
		t.aside = append(t.aside, name)
	}
	if len(list) > 0 {
		if err := syncDir(t.dir); err != nil {
			return fmt.Errorf("set aside what is damaged: %w", err)
		}
	}
	if already != "" {
		t.aside = append(t.aside, already)
	}
	if damage != nil {
		slices.Reverse(t.aside)
		t.mended = append(t.mended, fmt.Errorf("%w; set aside as %s", damage, strings.Join(t.aside, ", ")))
		t.aside = nil
	}
	return nil
}

// shorten keeps the first bytes of a segment, and gives the name of a copy of the whole.
func (t *Trail) shorten(path string, keep int64) (aside string, err error) {
	if aside, err = asideName(path); err == nil {
		err = copyBytes(path, aside, math.MaxInt64)
	}
	if err == nil {
		err = copyBytes(path, path, keep)
	}
	if err != nil {
		return "", fmt.Errorf("set aside what is damaged: %w", err)
	}
	return aside, nil
}

// copyBytes writes the first n bytes of a file to another one, or to itself; nobody sees less than all of them under the name.
func copyBytes(from, to string, n int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := Create(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer out.Discard()
	if _, err := io.Copy(out, io.LimitReader(in, n)); err != nil {
		return err
	}
	return out.Commit(to, true)
}

// asideName gives the name that a segment gets when it is set aside: one that no file has.
func asideName(path string) (string, error) {
	base := strings.TrimSuffix(path, SegmentExt) + AsideExt
	for i := 1; ; i++ {
		name := base
		if i > 1 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		_, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil
		case err != nil:
			return "", err
		}
	}
}

// Aside lists the segments of a directory that were set aside.
func Aside(dir string) ([]string, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list what was set aside: %w", err)
	}
	var list []string
	for _, e := range names {
		if strings.Contains(e.Name(), AsideExt) && e.Type().IsRegular() {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list, nil
}

// pruneAside removes what was set aside of the log before the oldest whole state; what has a name that says nothing stays.
func (t *Trail) pruneAside(oldest Header) (gone []string, err error) {
	list, err := Aside(t.dir)
	if err != nil {
		return nil, err
	}
	for _, path := range list {
		name, _, _ := strings.Cut(path, AsideExt)
		s, ok := SegmentFile{Path: name + SegmentExt}.byName(oldest.GroupName, oldest.GroupID)
		if !ok || s.Head.Epoch > oldest.Epoch || s.Head.Epoch == oldest.Epoch && s.Head.After >= oldest.Index {
			continue
		}
		if err := os.Remove(path); err != nil {
			return gone, fmt.Errorf("remove what was set aside: %w", err)
		}
		gone = append(gone, path)
	}
	return gone, nil
}
