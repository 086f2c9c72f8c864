package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SegmentFile is a segment in a directory.
type SegmentFile struct {
	Path string
	Size int64 // in bytes
	Head SegmentHead
	// Err says why the head cannot be read; Head is empty then.
	Err error
}

// ListSegments reads the heads of all segments of dir: by group and epoch, the older entries first, then those that cannot be read.
func ListSegments(dir string) ([]SegmentFile, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	list := []SegmentFile{}
	for _, e := range names {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), SegmentExt) || !e.Type().IsRegular() {
			continue
		}
		list = append(list, inspectSegment(filepath.Join(dir, e.Name())))
	}
	slices.SortStableFunc(list, func(a, b SegmentFile) int {
		return cmp.Or(boolOrder(a.Err != nil, b.Err != nil), strings.Compare(a.Head.GroupID, b.Head.GroupID), cmp.Compare(a.Head.Epoch, b.Head.Epoch),
			cmp.Compare(a.Head.After, b.Head.After))
	})
	return list, nil
}

func inspectSegment(path string) SegmentFile {
	s := SegmentFile{Path: path}
	f, err := os.Open(path)
	if err != nil {
		s.Err = err
		return s
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		s.Size = info.Size()
	}
	r, err := NewSegmentReader(f)
	if err != nil {
		if more, findErr := blockBehind(f, prefixSize); more || findErr != nil {
			unreadable := fmt.Errorf("%w: its head cannot be read", ErrDamaged)
			if errors.Is(err, ErrNewer) { // or it is of a version that this program does not know: nobody can tell
				unreadable = fmt.Errorf("%w: %w", unreadable, err)
			}
			err = errors.Join(unreadable, findErr)
		}
		s.Err = err
		return s
	}
	s.Head = r.Head()
	return s
}

// SegmentEnd is how far a segment can be read.
type SegmentEnd struct {
	Index, Term uint64 // of its last entry, or what it follows
	Whole       int64  // bytes of its whole blocks
	Hash        string // SHA-256 of these, hexadecimal digits
	Torn        bool   // there is something behind them that is no block: the writer was stopped
	Mark        Mark   // the last one, zero without any
	Proven      int64  // bytes up to the end of that mark
	// Passed is damage before the entry that was asked for, which was passed over: what the segment has from there on was read. Hash is empty then.
	Passed error
}

// ReadSegment reads a segment to its end and gives each entry and mark to each, which may be nil. An error of each ends it and is returned as it is. A tail that its writer
// never finished is no error; a damaged block with a whole one behind it is an ErrDamaged. After an error the end is what was good.
func ReadSegment(path string, each func(Record) error) (end SegmentEnd, err error) {
	f, err := os.Open(path)
	if err != nil {
		return end, err
	}
	defer f.Close()
	r, err := NewSegmentReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return end, fmt.Errorf("%s: %w", path, err)
	}
	return readRecords(f, path, r, each)
}

func readRecords(f *os.File, path string, r *SegmentReader, each func(Record) error) (end SegmentEnd, err error) {
	for {
		rec, err := r.Next()
		end.Index, end.Term = r.Last()
		end.Whole, end.Hash = r.Whole(), ""
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			end.Hash = r.Hash()
			return end, nil
		case errors.Is(err, ErrNewer):
			return end, fmt.Errorf("%s: %w", path, err)
		default:
			end.Hash = r.Hash()
			more, findErr := blockBehind(f, end.Whole)
			if findErr != nil {
				return end, findErr
			}
			if more && errors.Is(err, ErrTorn) { // its size is wrong
				err = fmt.Errorf("%w: no block behind entry %d", ErrDamaged, end.Index)
			}
			if more || !errors.Is(err, ErrTorn) && !errors.Is(err, ErrDamaged) {
				return end, fmt.Errorf("%s: %w", path, err)
			}
			end.Torn = true
			return end, nil
		}
		if rec.Mark != nil {
			end.Mark, end.Proven = *rec.Mark, end.Whole
		}
		if each != nil {
			if err := each(rec); err != nil {
				return end, err
			}
		}
	}
}

// blockBehind tells whether there is a whole block behind the one at offset: then that one is not the remains of a writer that was stopped.
func blockBehind(f *os.File, offset int64) (bool, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, offset, maxSegment+2*maxBlock))
	if err != nil {
		return false, err
	}
	marker := binary.LittleEndian.AppendUint32(nil, blockMarker)
	for at := 1; at < len(b); at++ {
		next := bytes.Index(b[at:], marker)
		if next < 0 {
			return false, nil
		}
		at += next
		if wholeBlock(b[at:]) {
			return true, nil
		}
	}
	return false, nil
}

func wholeBlock(b []byte) bool {
	if len(b) < blockHeadSize {
		return false
	}
	size := int64(binary.LittleEndian.Uint32(b[8:]))
	if size > maxBlock || size > int64(len(b)-blockHeadSize) {
		return false
	}
	crc := crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[blockHeadSize:blockHeadSize+size])
	return crc == binary.LittleEndian.Uint32(b[12:])
}
