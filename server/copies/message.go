package copies

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

// Layout of a question; integers are little-endian.
//
//	0   mark   1 byte: no JSON begins with it
//	1   op     1 byte
//	2   hash   32 bytes
//	34  size   4 bytes, of the value
//	38  the value (put), the id of the member to take it from (take), nothing (get)
//
// That of opHave has hashes from byte 2 on. An answer begins with its status; behind it are the value (get), a word for each hash (have), or a text.
const (
	mark      = 1
	headSize  = 2 + 32 + 4
	maxHashes = 1024 // in one question
)

type op byte

const (
	opPut  op = 1 // keep this
	opGet  op = 2 // give me that
	opTake op = 3 // take that from another member, and keep it
	opHold op = 5 // throw nothing away for a while; nothing follows
	opHave op = 4 // which of these do you have? The time of those begins anew.
)

// word is what a member says of one hash that it is asked for.
type word byte

const (
	hasNot word = 0
	hasIt  word = 1
	unsure word = 2 // it has it, and cannot make certain just now that it stays; older programs take that for hasNot, as they say it themselves
)

type status byte

const (
	statusOK     status = 0
	statusAbsent status = 1
	statusFull   status = 2
	statusFailed status = 3
)

var errMessage = errors.New("not a message about values beside the log")

// question is one message, to be read and not changed.
type question struct {
	op     op
	hash   shelf.Hash
	size   uint32
	rest   []byte
	hashes []shelf.Hash // opHave
}

// IsQuestion tells the messages of this package from others.
func IsQuestion(b []byte) bool { return len(b) > 0 && b[0] == mark }

func (q *question) encode() []byte {
	if q.op == opHold {
		return []byte{mark, byte(opHold)}
	}
	if q.op == opHave {
		b := append(make([]byte, 0, 2+32*len(q.hashes)), mark, byte(q.op))
		for i := range q.hashes {
			b = append(b, q.hashes[i][:]...)
		}
		return b
	}
	b := append(make([]byte, 0, headSize+len(q.rest)), mark, byte(q.op))
	b = append(b, q.hash[:]...)
	b = binary.LittleEndian.AppendUint32(b, q.size)
	return append(b, q.rest...)
}

// decode reads a question of another member. The value and the id are parts of b.
func decode(b []byte) (*question, error) {
	if len(b) < 2 || b[0] != mark {
		return nil, errMessage
	}
	q := &question{op: op(b[1])}
	if q.op == opHold && len(b) == 2 {
		return q, nil
	}
	if q.op == opHave {
		n := (len(b) - 2) / 32
		if n < 1 || n > maxHashes || len(b) != 2+32*n {
			return nil, fmt.Errorf("%w: %d bytes of hashes", errMessage, len(b)-2)
		}
		q.hashes = make([]shelf.Hash, n)
		for i := range q.hashes {
			copy(q.hashes[i][:], b[2+32*i:])
		}
		return q, nil
	}
	if len(b) < headSize {
		return nil, fmt.Errorf("%w: %d bytes", errMessage, len(b))
	}
	copy(q.hash[:], b[2:])
	q.size, q.rest = binary.LittleEndian.Uint32(b[34:]), b[headSize:]
	if q.size < 1 || q.size > fsm.MaxStoredValue {
		return nil, fmt.Errorf("%w: a value of %d bytes", errMessage, q.size)
	}
	wrong := false
	switch q.op {
	case opPut:
		wrong = uint64(len(q.rest)) != uint64(q.size)
	case opGet:
		wrong = len(q.rest) != 0
	case opTake:
		wrong = len(q.rest) == 0 || len(q.rest) > fsm.MaxHolderID
	default:
		return nil, fmt.Errorf("%w: what is %d", errMessage, q.op)
	}
	if wrong {
		return nil, fmt.Errorf("%w: %d bytes behind its head", errMessage, len(q.rest))
	}
	return q, nil
}

// answer makes one: a status and what belongs to it.
func answer(s status, rest []byte) []byte { return append([]byte{byte(s)}, rest...) }

// failure is the answer of an error.
func failure(err error) []byte {
	switch {
	case errors.Is(err, shelf.ErrAbsent):
		return answer(statusAbsent, nil)
	case errors.Is(err, shelf.ErrFull):
		return answer(statusFull, []byte(clip(err.Error())))
	}
	return answer(statusFailed, []byte(clip(err.Error())))
}

// opened gives what is in an answer, or its error.
func opened(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: an empty answer", errMessage)
	}
	switch status(b[0]) {
	case statusOK:
		return b[1:], nil
	case statusAbsent:
		return nil, shelf.ErrAbsent
	case statusFull:
		return nil, fmt.Errorf("%w: it says %q", shelf.ErrFull, clip(string(b[1:])))
	case statusFailed:
		return nil, fmt.Errorf("it says %q", clip(string(b[1:])))
	}
	return nil, fmt.Errorf("%w: an answer of status %d", errMessage, b[0])
}

// clip bounds what another member says.
func clip(s string) string { return s[:min(len(s), 300)] }
