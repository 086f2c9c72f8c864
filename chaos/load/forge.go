package load

import (
	"context"
	"encoding/base64"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Forge attacks a user's cookie: it flips one bit of one byte, cuts the cookie short or lengthens it, and shows the result to
// a node. The answer must carry a fresh session; anything else is a violation. The fresh session is checked once more, so
// that it really is one. The harness does not know where the fields of the cookie lie: over a run every byte is flipped.
func (w *Worker) Forge(ctx context.Context, victim *Session) error {
	genuine := victim.Jar.Get(victim.Kind.Cookie)
	if genuine == "" {
		w.load.Ledger.Violate(ledger.Failed, victim.Entry, "the answer to a new session had no cookie %s", victim.Kind.Cookie)
		return nil
	}
	forged, how := w.forgery(genuine)
	attacker := &Session{Kind: victim.Kind}
	attacker.Jar.Take(victim.Kind.Cookie + "=" + forged)
	w.load.Record.Forged.Add(1)
	seen := w.opens(attacker, true)
	answer, err := w.ask(ctx, attacker, Any, &seen)
	if err != nil {
		w.load.tell(seen, answer, err)
		return err
	}
	if got := attacker.Jar.Get(victim.Kind.Cookie); got == forged || got == genuine {
		w.load.Ledger.Violate(ledger.Forged, victim.Entry, "node %s honoured the cookie with %s", answer.Node, how)
		return nil
	}
	w.load.told(attacker, answer)
	w.load.tell(seen, answer, nil)
	return w.Visit(ctx, attacker, Any)
}

func (w *Worker) forgery(genuine string) (forged, how string) {
	raw, err := base64.RawURLEncoding.DecodeString(genuine)
	if err != nil || len(raw) == 0 { // not the encoding that we know: change a letter
		letters := []byte(genuine)
		at := w.random.IntN(len(letters))
		letters[at] = map[bool]byte{true: 'B', false: 'A'}[letters[at] == 'A']
		return string(letters), "another letter"
	}
	switch w.random.IntN(10) {
	case 0:
		raw, how = raw[:w.random.IntN(len(raw))], "its end cut off"
	case 1:
		raw, how = append(raw, byte(w.random.Uint32())), "a byte appended"
	default:
		raw[w.random.IntN(len(raw))] ^= 1 << w.random.IntN(8)
		how = "one bit flipped"
	}
	return base64.RawURLEncoding.EncodeToString(raw), how
}
