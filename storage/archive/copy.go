package archive

import "io"

// Copy copies an archive and checks all its hashes on the way. After an error w has not got a whole archive.
func Copy(w io.Writer, from io.Reader) (Header, error) {
	r, err := NewReader(io.TeeReader(from, w))
	if err != nil {
		return Header{}, err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return r.Header(), err
}
