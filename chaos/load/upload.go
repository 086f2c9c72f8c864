package load

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// upload draws what a request of the session brings, nil for nothing. Most are small: a form.
func (w *Worker) upload(s *Session) []byte {
	if s.Kind.Upload == 0 {
		return nil
	}
	most := s.Kind.Upload
	if w.random.IntN(4) != 0 {
		most = min(most, 2<<10)
	}
	body := make([]byte, 1+w.random.IntN(most))
	for i := range body {
		body[i] = byte(w.random.Uint32())
	}
	return body
}

// uploaded looks at what has arrived. A client that has heard no answer sends again: so the application may have executed as many requests as were sent, and no more. Where it has
// begun a new session it counts from one, and what was sent before was another one's.
func (w *Worker) uploaded(s *Session, body []byte, said *reply, answer *ledger.Answer) {
	sum := sha256.Sum256(body)
	answer.Garbled = said.SHA256 != hex.EncodeToString(sum[:])
	if said.New {
		s.sent = 1
	}
	answer.Most = s.sent
	w.load.Record.Uploads.Add(1)
	w.load.Record.Bytes.Add(int64(len(body)))
}
