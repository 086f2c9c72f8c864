package raftnode

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// failCode says what the caller may do next. Numbers are append-only.
type failCode uint8

const (
	failNotLeader   failCode = 1 // not done; the hint names the leader, if it is known
	failRetry       failCode = 2 // not done; try again
	failUnknown     failCode = 3 // perhaps done
	failRefused     failCode = 4 // not done, and never will be; the text says why
	failUnsupported failCode = 5 // a request of a newer version
	failNoRoom      failCode = 6 // not done: the disks of most nodes are full
	failElsewhere   failCode = 9 // not done: the caller is a copy of a node that runs
)

// failure is a reply that says no. It is also how handlers say it.
type failure struct {
	code     failCode
	leaderID raft.ServerID // hint of failNotLeader
	leader   string        // its address
	text     string
}

func (f *failure) Error() string {
	switch f.code {
	case failNotLeader:
		if f.leader != "" {
			return "not leader (" + nameOf(f.leaderID) + " at " + f.leader + " is)"
		}
		return "not leader"
	case failRetry:
		return "not done: " + f.text
	case failUnknown:
		return "outcome unknown: " + f.text
	case failUnsupported:
		return "not supported: " + f.text
	}
	return f.text
}

// Is makes a refusal of another node an ErrRefused, or an ErrNoRoom.
func (f *failure) Is(target error) bool {
	switch f.code {
	case failRefused, failElsewhere:
		return target == ErrRefused
	case failNoRoom:
		return target == ErrNoRoom || target == ErrNoQuorum
	}
	return false
}

func retryLater(text string) error { return &failure{code: failRetry, text: text} }

// maxText bounds the text of a failure in bytes.
const maxText = 1024

// encode: code 1 | id length 1 | id | address length 2 | address | text.
func (f *failure) encode() []byte {
	id, addr, text := string(f.leaderID), f.leader, f.text
	if len(id) > 255 || len(addr) > maxAddr {
		id, addr = "", ""
	}
	b := append(make([]byte, 0, 4+len(id)+len(addr)+len(text)), byte(f.code), byte(len(id)))
	b = append(b, id...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(addr)))
	b = append(b, addr...)
	return append(b, text[:min(len(text), maxText)]...)
}

func decodeFailure(b []byte) (*failure, error) {
	bad := fmt.Errorf("%w: failure", errFrame)
	if len(b) < 4 {
		return nil, bad
	}
	f := &failure{code: failCode(b[0])}
	n := int(b[1])
	if b = b[2:]; len(b) < n+2 {
		return nil, bad
	}
	f.leaderID, b = raft.ServerID(b[:n]), b[n:]
	n = int(binary.LittleEndian.Uint16(b))
	if b = b[2:]; len(b) < n || n > maxAddr || len(b)-n > maxText {
		return nil, bad
	}
	f.leader, f.text = string(b[:n]), string(b[n:])
	return f, nil
}

// asFailure turns any error of a handler into what the caller is told.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrRefused):
		return &failure{code: failRefused, text: err.Error()}
	case errors.Is(err, ErrNoRoom):
		return &failure{code: failNoRoom, text: err.Error()}
	case errors.Is(err, ErrNoQuorum) && !errors.Is(err, ErrTimeout):
		return &failure{code: failRetry, text: err.Error()}
	}
	return &failure{code: failUnknown, text: err.Error()}
}

// TryAgain tells that nothing was done, here or on the other node, and that it may be done another time: there was no leader, or another one.
func TryAgain(err error) bool {
	var f *failure
	if errors.As(err, &f) {
		return f.code == failNotLeader || f.code == failRetry
	}
	return errors.Is(err, errNotSent) || errors.Is(err, ErrNoQuorum) && !errors.Is(err, ErrTimeout)
}

// notDone tells that a failed request has certainly had no effect.
func notDone(err error) bool {
	var f *failure
	return errors.Is(err, errNotSent) || errors.As(err, &f) && f.code != failUnknown
}
