package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// A node that has parted keeps asking whoever leads for what is committed behind its own state: it is a follower still, but for a log and a vote.

const (
	// tailSize is how many bytes of the log an answer has, about, and tailWait how long it is kept back while there is nothing to tell.
	tailSize = 1 << 20
	tailWait = 500 * time.Millisecond
	// tailAsk bounds one question.
	tailAsk = 2 * time.Second
	// tailEntry is what an entry has besides its data: index 8 | term 8 | command 1 | length 4.
	tailEntry = 21
)

// handleTail tells a member what follows an entry: after 8 | term 8. It answers at once when there is something.
func (n *Node) handleTail(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	if len(payload) != 16 {
		return nil, refused("a question for the log of %d bytes", len(payload))
	}
	after, term := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
	more := n.NextApplied()
	list, err := n.Tail(after, term, math.MaxUint64, tailSize)
	if err == nil && len(list) == 0 {
		wait := time.NewTimer(tailWait)
		defer wait.Stop()
		select {
		case <-more:
		case <-wait.C:
		case <-ctx.Done():
			return nil, timeout(ctx)
		}
		list, err = n.Tail(after, term, math.MaxUint64, tailSize)
	}
	if err != nil {
		return nil, retryLater(err.Error())
	}
	b := encodeTail(list)
	if len(b) > maxPayload {
		return nil, refused("entry %d has %d bytes, at most %d", list[0].Index, len(b), maxPayload)
	}
	return b, nil
}

func encodeTail(list []TailEntry) (b []byte) {
	for _, e := range list {
		b = binary.LittleEndian.AppendUint64(b, e.Index)
		b = binary.LittleEndian.AppendUint64(b, e.Term)
		command := byte(0)
		if e.Command {
			command = 1
		}
		b = append(b, command)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// decodeTail shares its data with b.
func decodeTail(b []byte) (list []TailEntry, err error) {
	for len(b) > 0 {
		if len(b) < tailEntry {
			return nil, fmt.Errorf("%w: an entry is cut off", errFrame)
		}
		e := TailEntry{Index: binary.LittleEndian.Uint64(b), Term: binary.LittleEndian.Uint64(b[8:]), Command: b[16] == 1}
		size := uint64(binary.LittleEndian.Uint32(b[17:]))
		if b[16] > 1 || !e.Command && size > 0 || uint64(len(b)-tailEntry) < size {
			return nil, fmt.Errorf("%w: entry %d", errFrame, e.Index)
		}
		if b = b[tailEntry:]; size > 0 {
			e.Data = b[:size:size]
		}
		list, b = append(list, e), b[size:]
	}
	return list, nil
}

// followGroup learns what the group commits until the node ends, or meets what its program does not know.
func (n *Node) followGroup() {
	for n.ctx.Err() == nil {
		err := n.askTail()
		if errors.Is(err, errLearn) {
			n.log.Info("this process learns nothing more of what the group commits", "reason", err)
			return
		}
		if err == nil {
			continue
		}
		select {
		case <-time.After(partLook):
		case <-n.ctx.Done():
		}
	}
}

func (n *Node) askTail() error {
	at, _ := n.watch.get()
	have := n.learnt.position()
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, have.index), have.term)
	ctx, cancel := context.WithTimeout(n.ctx, tailAsk)
	defer cancel()
	b, err := n.pool.call(ctx, at.addr, nameOf(at.id), callTail, b)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			n.pool.drop(at.addr, nameOf(at.id), err)
		}
		return err
	}
	list, err := decodeTail(b)
	if err != nil {
		return err
	}
	return n.learn(list)
}
