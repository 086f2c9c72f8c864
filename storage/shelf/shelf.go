package shelf

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Hash is the SHA-256 of a value.
type Hash = [sha256.Size]byte

const (
	// Fresh is how long bytes stay that nobody needs since they were put.
	Fresh = 3 * time.Minute
	// Spent is how long they stay when somebody needed them and needs them no more: who has just learned of them may still ask.
	Spent = 10 * time.Second

	dirMode  = 0o700
	fileMode = 0o600
	// temporary begins the name of a file that is not whole.
	temporary = "new-"
)

var (
	// ErrFull: there is no room. Nothing was stored.
	ErrFull = errors.New("no room for it")
	// ErrAbsent: there are no such bytes here, or they were damaged and have been taken away.
	ErrAbsent = errors.New("it is not here")
	// ErrDamaged is the ErrAbsent of bytes that were damaged.
	ErrDamaged = fmt.Errorf("%w: the file was damaged", ErrAbsent)
	// ErrWrong: the bytes do not have the hash that they were to have.
	ErrWrong = errors.New("the bytes have another hash")
)

// Options is what Open needs.
type Options struct {
	// MaxBytes bounds all that is kept.
	MaxBytes int64
	// Room is asked before bytes are written: an error says why there is no room on the disk. nil: there always is.
	Room func(size int) error
	// Now is the monotonic time; nil: time.Now.
	Now func() time.Time
}

// Shelf is a directory of values. Make it with Open.
type Shelf struct {
	path string
	opt  Options

	mu    sync.Mutex
	kept  map[Hash]*kept
	bytes int64
	names *names
}

// kept is one value on the shelf.
type kept struct {
	size   int64
	named  uint64    // see names.seen
	since  time.Time // when it was put, kept or last needed
	needed bool      // since it was put or kept
	// promised is when it was put or kept last though it was there already: who needed it before says nothing about who is about to. Zero: the first who was promised it is the only one.
	promised time.Time
}

// Open opens the shelf at path; it is made with the first Put. What is left of writes that were cut off goes away. A file of another kind is left alone.
func Open(path string, o Options) (*Shelf, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Shelf{path: path, opt: o, kept: make(map[Hash]*kept), names: newNames()}
	parts, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the values beside the log: %w", err)
	}
	now := o.Now()
	for _, part := range parts {
		if !part.IsDir() || len(part.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(path, part.Name()))
		if err != nil {
			return nil, fmt.Errorf("open the values beside the log: %w", err)
		}
		for _, f := range files {
			s.found(filepath.Join(path, part.Name(), f.Name()), f, now)
		}
	}
	return s, nil
}

// found takes note of a file.
func (s *Shelf) found(path string, f fs.DirEntry, now time.Time) {
	if len(f.Name()) > len(temporary) && f.Name()[:len(temporary)] == temporary {
		_ = os.Remove(path) // of a crash; if it stays it costs its room
		return
	}
	var h Hash
	name, err := hex.DecodeString(f.Name())
	info, infoErr := f.Info()
	if err != nil || len(name) != len(h) || infoErr != nil || !info.Mode().IsRegular() {
		return
	}
	copy(h[:], name)
	s.kept[h] = &kept{size: info.Size(), since: now, promised: now} // by the process before, perhaps
	s.bytes += info.Size()
}

// Now is the time by which the shelf judges, for Sweep.
func (s *Shelf) Now() time.Time { return s.opt.Now() }

func (s *Shelf) file(h Hash) string {
	name := hex.EncodeToString(h[:])
	return filepath.Join(s.path, name[:2], name)
}

// Put stores bytes that have the hash h. What is there already, and is as it should be, is not written again, but certain to stay. The error is ErrWrong, ErrFull, or the disk's.
func (s *Shelf) Put(h Hash, data []byte) error {
	if sha256.Sum256(data) != h {
		return ErrWrong
	}
	if there, err := s.Keep(h); there && err == nil { // from here on Sweep leaves it alone
		if there, err := os.ReadFile(s.file(h)); err == nil && bytes.Equal(there, data) {
			return nil
		}
		s.discard(h)
	}
	if err := s.reserve(int64(len(data))); err != nil {
		return err
	}
	named, err := s.write(h, data)
	if err != nil {
		s.release(int64(len(data)))
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = ErrFull
		}
		return fmt.Errorf("store a value: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &kept{size: int64(len(data)), named: named, since: s.opt.Now()}
	if before := s.kept[h]; before != nil { // two have put the same
		s.bytes -= before.size
		k.promised = k.since
	}
	s.kept[h] = k
	return nil
}

// reserve takes the room for a write in advance, so that many at once cannot take more than there is.
func (s *Shelf) reserve(n int64) error {
	if s.opt.Room != nil {
		if err := s.opt.Room(int(n)); err != nil {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+n > s.opt.MaxBytes {
		return fmt.Errorf("%w: %d bytes are kept, and %d are the most", ErrFull, s.bytes, s.opt.MaxBytes)
	}
	s.bytes += n
	return nil
}

func (s *Shelf) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= n
}

// write has the bytes on the disk, to stay, when it returns no error; named is since when they have their name.
func (s *Shelf) write(h Hash, data []byte) (named uint64, err error) {
	path := s.file(h)
	dir := filepath.Dir(path)
	if err := s.makeDir(s.path); err != nil {
		return 0, err
	}
	if err := s.makeDir(dir); err != nil {
		return 0, err
	}
	tmp := filepath.Join(dir, temporary+rand.Text())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return 0, err
	}
	named = s.names.seen()
	return named, s.stay(h, named)
}

// makeDir makes a directory, unless there is one.
func (s *Shelf) makeDir(path string) error {
	if err := s.names.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// stay makes certain that a value which had its name by named outlives a power cut: its own name and those of the directories that lead to it. Whoever made them may have been killed before that.
func (s *Shelf) stay(h Hash, named uint64) error {
	file := s.file(h)
	dir := filepath.Dir(file)
	for _, name := range []struct {
		path  string
		since uint64
	}{{s.path, s.names.made(s.path)}, {dir, s.names.made(dir)}, {file, named}} {
		if err := s.names.stay(filepath.Dir(name.path), name.since); err != nil {
			return err
		}
	}
	return nil
}

// Get reads the bytes with the hash h. The error is an ErrAbsent, or the disk's.
func (s *Shelf) Get(h Hash) ([]byte, error) {
	data, err := os.ReadFile(s.file(h)) // whatever is known of it: another process may have put it here
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.discard(h)
		return nil, ErrAbsent
	case err != nil:
		return nil, fmt.Errorf("read a value: %w", err)
	case sha256.Sum256(data) != h:
		s.discard(h)
		return nil, ErrDamaged
	}
	return data, nil
}

// Has tells whether the bytes are here, as far as their name says.
func (s *Shelf) Has(h Hash) bool {
	s.mu.Lock()
	_, known := s.kept[h]
	s.mu.Unlock()
	if known {
		return true
	}
	info, err := os.Lstat(s.file(h))
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[h] == nil {
		now := s.opt.Now()
		s.kept[h] = &kept{size: info.Size(), named: s.names.seen(), since: now, promised: now}
		s.bytes += info.Size()
	}
	return true
}

// Keep has the time of the bytes begin anew, as if they had just been put; false when they are not here. With an error they are here, as far as their name says, but nobody may count on them: they are not certain to stay.
func (s *Shelf) Keep(h Hash) (bool, error) {
	if !s.Has(h) {
		return false, nil
	}
	named, there := s.keep(h)
	if !there {
		return false, nil
	}
	if err := s.stay(h, named); err != nil {
		return !errors.Is(err, fs.ErrNotExist), err
	}
	return true, nil
}

func (s *Shelf) keep(h Hash) (named uint64, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[h]
	if k == nil {
		return 0, false
	}
	k.since, k.needed = s.opt.Now(), false
	k.promised = k.since
	return k.named, true
}

// Dropped says that somebody who has been promised these bytes has had the use of them and needs them no more, as if a Sweep had met them between: so they stay for Spent, not for Fresh, unless somebody else was promised them.
func (s *Shelf) Dropped(h Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.kept[h]; k != nil && !k.needed {
		k.since, k.needed = s.opt.Now(), true
	}
}

// discard takes a file away that is not what its name says, and what is known of it. It looks once more, under the lock: somebody may have put the value since it was found so.
func (s *Shelf) discard(h Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, err := os.ReadFile(s.file(h)); err == nil && sha256.Sum256(data) == h {
		return
	}
	if k := s.kept[h]; k != nil {
		s.bytes -= k.size
		delete(s.kept, h)
	}
	_ = os.Remove(s.file(h))
}

// Sweep throws away what needed does not ask for and whose time was over when that was found out, at known by Now, and tells how many values and bytes that were. It asks needed without a lock; bytes that are put or kept since known stay.
func (s *Shelf) Sweep(known time.Time, needed func(Hash) bool) (values int, size int64) {
	s.mu.Lock()
	all := make([]Hash, 0, len(s.kept))
	for h := range s.kept {
		all = append(all, h)
	}
	s.mu.Unlock()
	for _, h := range all {
		if n, gone := s.sweep(h, known, needed(h)); gone {
			values, size = values+1, size+n
		}
	}
	return values, size
}

func (s *Shelf) sweep(h Hash, known time.Time, needed bool) (size int64, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[h]
	if k == nil || k.since.After(known) && !k.needed {
		return 0, false
	}
	if needed {
		k.since, k.needed = s.opt.Now(), true
		return 0, false
	}
	patience := Fresh
	if k.needed {
		patience = Spent
	}
	if known.Sub(k.since) < patience || !k.promised.IsZero() && known.Sub(k.promised) < Fresh {
		return 0, false
	}
	if err := os.Remove(s.file(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false // again with the next one
	}
	delete(s.kept, h)
	s.bytes -= k.size
	return k.size, true
}

// Usage is how many values are here, and how many bytes.
func (s *Shelf) Usage() (values int, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept), s.bytes
}
