package depot

import (
	"bytes"
	"errors"
	"io"

	"github.com/holdfast-lb/holdfast/storage/archive"
)

// checked reads an archive as it is, and checks it on the way: it gives io.EOF only when all hashes were right and the archive is whole.
type checked struct {
	r       *archive.Reader
	pending bytes.Buffer // what has been checked and not given out: at most a section
	scratch [32 << 10]byte
	err     error
}

// check reads the header.
func check(from io.Reader) (*checked, error) {
	c := &checked{}
	var err error
	if c.r, err = archive.NewReader(io.TeeReader(from, &c.pending)); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *checked) close() { c.r.Close() }

// Read gives the archive's own bytes, not those of the state.
func (c *checked) Read(p []byte) (int, error) {
	for c.pending.Len() == 0 {
		if c.err != nil {
			return 0, c.err
		}
		_, c.err = c.r.Read(c.scratch[:])
	}
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return 0, c.err
	}
	return c.pending.Read(p)
}
