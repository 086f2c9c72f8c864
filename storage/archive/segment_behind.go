package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A whole state makes the log before it superfluous, also in the segment in which the two meet: a byte that is damaged there must not cost what follows the state. Behind the damage nothing but the damaged bytes is believed less
// than before: each block has its CRC, indexes follow one another, terms do not fall, and who applies the entries compares the state with the digests of the marks. Only the SHA-256 of marks and of the whole segment are of no
// use, because they cover what is damaged.

// readSegmentBehind is ReadSegment for whoever has the state as of entry index, of that term: damage before the next entry is passed over, and is in end.Passed. Entries up to index may be given to each, or not.
func readSegmentBehind(path string, index, term uint64, each func(Record) error) (SegmentEnd, error) {
	var own error
	end, damage := ReadSegment(path, func(rec Record) error {
		own = each(rec)
		return own
	})
	headless := end.Whole == 0 && (errors.Is(damage, ErrTorn) || errors.Is(damage, ErrNewer)) // as a length, or the version, with another byte in it
	if damage == nil || own != nil || !errors.Is(damage, ErrDamaged) && !headless || end.Index > index {
		return end, damage
	}
	f, err := os.Open(path)
	if err != nil {
		return end, err
	}
	defer f.Close()
	at, found, err := findEntry(f, end.Whole, index)
	if err != nil {
		return end, errors.Join(damage, err)
	}
	if found == 0 { // nothing is behind the state
		return SegmentEnd{Index: index, Term: term, Whole: end.Whole, Mark: end.Mark, Passed: damage}, nil
	}
	if found != index+1 {
		return end, damage
	}
	r := &SegmentReader{r: bufio.NewReaderSize(io.NewSectionReader(f, at, 1<<62), 256<<10), sum: sha256.New(), last: index, term: term, size: at, unproven: true}
	end, err = readRecords(f, path, r, each)
	end.Passed, end.Hash = damage, ""
	return end, err
}

// findEntry looks behind offset for the whole block of the first entry that is behind index, and gives where it is and its index; 0: there is none, and no mark says that there was one.
func findEntry(f *os.File, offset int64, index uint64) (at int64, found uint64, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, offset, maxSegment+2*maxBlock))
	if err != nil {
		return 0, 0, err
	}
	for i := 0; i < len(b); i = behindBlock(b, i) {
		if !wholeBlock(b[i:]) {
			continue
		}
		content := b[i+blockHeadSize:][:binary.LittleEndian.Uint32(b[i+8:])]
		switch b[i+4] {
		case blockEntry:
			if e, ok := decodeEntry(content); ok && e.Index > index {
				return offset + int64(i), e.Index, nil
			}
		case blockMark:
			if m, _, ok := decodeMark(content); ok && m.Index > index { // its entries are gone
				return offset + int64(i), math.MaxUint64, nil
			}
		}
	}
	return 0, 0, nil
}

// behindBlock gives where the block behind the one at i begins, which may be damaged; len(b) without any. Its own length is believed where a block or the end follows there, so that nothing in what a block holds is taken for one.
func behindBlock(b []byte, i int) int {
	marker := binary.LittleEndian.AppendUint32(nil, blockMarker)
	if bytes.HasPrefix(b[i:], marker) && len(b)-i >= blockHeadSize {
		if size := int64(binary.LittleEndian.Uint32(b[i+8:])); size <= maxBlock {
			if next := int64(i) + blockHeadSize + size; next == int64(len(b)) || next < int64(len(b)) && wholeBlock(b[next:]) {
				return int(next)
			}
		}
	}
	for i++; i < len(b); i++ {
		next := bytes.Index(b[i:], marker)
		if next < 0 {
			break
		}
		if i += next; wholeBlock(b[i:]) {
			return i
		}
	}
	return len(b)
}

// byName places a segment whose head cannot be read by what its name says, among those of the group with the name and the id; false: its name says nothing.
func (s SegmentFile) byName(groupName, groupID string) (SegmentFile, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(s.Path), SegmentExt), groupName+"-")
	epochText, firstText, two := strings.Cut(rest, "-")
	epoch, eerr := strconv.ParseUint(epochText, 10, 32)
	first, ferr := strconv.ParseUint(firstText, 10, 64)
	if !ok || !two || eerr != nil || ferr != nil || epoch == 0 || first < 2 {
		return s, false
	}
	s.Head = SegmentHead{GroupID: groupID, GroupName: groupName, Epoch: uint32(epoch), After: first - 1}
	return s, true
}

// place has the segments whose heads cannot be read among the others, where their names put them. It gives those that cannot be placed.
func (c *contents) place() (lost []SegmentFile) {
	for _, s := range c.headless {
		if len(c.bases) == 0 {
			lost = append(lost, s)
			continue
		}
		h := c.bases[len(c.bases)-1].Header
		named, ok := s.byName(h.GroupName, h.GroupID)
		if !ok {
			lost = append(lost, s)
			continue
		}
		at := slices.IndexFunc(c.segments, func(o SegmentFile) bool {
			return o.Head.Epoch > named.Head.Epoch || o.Head.Epoch == named.Head.Epoch && o.Head.After > named.Head.After
		})
		if at < 0 {
			at = len(c.segments)
		}
		c.segments = slices.Insert(c.segments, at, named)
	}
	return lost
}

// unread says why the head cannot be read, with the name of the file.
func (s SegmentFile) unread() error { return fmt.Errorf("%s: %w", s.Path, s.Err) }
