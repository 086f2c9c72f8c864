package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"time"
)

// PeekSnapshot reads the head of a snapshot: the last index that is in it and the replicated time there. The reader that it gives begins with the
// snapshot's first byte again. Nothing beyond the head has been checked.
func PeekSnapshot(in io.Reader) (index uint64, now time.Time, whole io.Reader, err error) {
	var head bytes.Buffer
	r := sectionReader{r: io.TeeReader(in, &head), total: sha256.New()}
	index, ms, err := r.fileHeader()
	if err != nil {
		return 0, time.Time{}, nil, fmt.Errorf("read snapshot: %w", err)
	}
	return index, millis(ms), io.MultiReader(&head, in), nil
}
