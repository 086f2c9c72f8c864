package raftnode

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Layout of a frame; integers are little-endian.
//
//	0   length    4 bytes: of everything behind it
//	4   id        8 bytes: chosen by the caller, repeated in the reply
//	12  kind      1 byte: top bit set in replies
//	13  deadline  4 bytes, ms: how long the caller waits; 0 in replies
//	17  payload
const (
	frameHeader = 17
	frameFixed  = frameHeader - 4 // what length counts besides the payload
	maxPayload  = 8<<20 - frameHeader
)

// callKind numbers are append-only: nodes of different versions talk to each other.
type callKind uint8

const (
	callHello     callKind = 1  // nodes that found a group greet each other
	callPromise   callKind = 2  // the founder collects promises
	callForm      callKind = 3  // the founder tells to bootstrap
	callJoin      callKind = 4  // a node of the group's authority wants to be a member
	callToken     callKind = 5  // a node with a join token does
	callPromote   callKind = 6  // a caught-up non-voter wants to vote
	callAnnounce  callKind = 7  // a member has a new address
	callRecord    callKind = 8  // a batch of session operations
	callPropose   callKind = 9  // one rare command
	callReadIndex callKind = 10 // what must be applied before a read
	callTerm      callKind = 11 // the current Raft term
	callInfo      callKind = 12 // what the node says about itself
	callWait      callKind = 13 // answer when an index is applied
	callHeartbeat callKind = 14 // what an instance said of itself, for the leader
	callLogged    callKind = 15 // up to which event the group has a line in some log
	callAsk       callKind = 16 // what the floors above say to each other
	callLease     callKind = 17 // how long ago a follower heard of its leader, who asks; of versions that do not know callWord
	callGone      callKind = 18 // whether another voter finds the leader gone too
	callRoom      callKind = 19 // the caller's disk is full
	callRemoved   callKind = 22 // a node is a member no more
	callDemote    callKind = 23 // a member gives up its vote, because it is going to drop its log
	callEpoch     callKind = 24 // the group has begun a new epoch
	callDisk      callKind = 25 // whether the disk answers
	callClaim     callKind = 28 // a node is about to take part: does it run elsewhere?

	callDigest     callKind = 30 // the digest at a checkpoint
	callCheckpoint callKind = 31 // the leader is to add a checkpoint now
	callCompare    callKind = 32 // something of an image of the state

	callTail callKind = 40 // what is committed behind an entry, for a process that has parted
	callWord callKind = 41 // callLease, and when the follower would vote for another leader

	replyOK     callKind = 0x80
	replyFailed callKind = 0x81
)

// quick tells which requests are answered at once, or are few because a node batches them.
func (k callKind) quick() bool {
	switch k {
	case callRecord, callReadIndex, callTerm, callInfo, callHeartbeat, callLogged, callLease, callWord, callGone, callRoom, callDisk:
		return true
	}
	return false
}

var errFrame = errors.New("bad frame")

type frame struct {
	id       uint64
	kind     callKind
	deadline time.Duration // whole milliseconds
	payload  []byte
}

// appendFrame encodes f behind b. The payload is not larger than maxPayload.
func appendFrame(b []byte, f frame) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(frameFixed+len(f.payload)))
	b = binary.LittleEndian.AppendUint64(b, f.id)
	b = append(b, byte(f.kind))
	ms := f.deadline.Milliseconds()
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(ms, 0), math.MaxUint32)))
	return append(b, f.payload...)
}

// readFrame reads one frame of at most limit bytes of payload. io.EOF means that the peer ended between two frames. The
// payload grows with what arrives, not with what was announced.
func readFrame(r *bufio.Reader, limit int) (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return frame{}, fmt.Errorf("%w: cut off in the header", errFrame)
		}
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(h[:])
	if n < frameFixed || int64(n)-frameFixed > int64(limit) {
		return frame{}, fmt.Errorf("%w: length %d, want %d to %d", errFrame, n, frameFixed, frameFixed+limit)
	}
	f := frame{
		id:       binary.LittleEndian.Uint64(h[4:]),
		kind:     callKind(h[12]),
		deadline: time.Duration(binary.LittleEndian.Uint32(h[13:])) * time.Millisecond,
	}
	var err error
	if f.payload, err = readGrowing(r, int(n)-frameFixed); err != nil {
		return frame{}, err
	}
	return f, nil
}

func readGrowing(r io.Reader, n int) ([]byte, error) {
	const first = 64 << 10
	b := make([]byte, min(n, first))
	for done := 0; ; {
		m, err := io.ReadFull(r, b[done:])
		if done += m; err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: cut off in the payload", errFrame)
			}
			return nil, err
		}
		if done == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-done, done))...)
	}
}
