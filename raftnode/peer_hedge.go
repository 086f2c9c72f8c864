package raftnode

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// maxHedges is how often a question of an election is asked again: raft's pool may have three connections to a node that is another process by now,
// and the next one is new.
const maxHedges = 3

// hedge asks until there is an answer. A connection that raft's pool has kept may lead to a process that is no more, or to a machine that has forgotten it:
// then the answer is an error of the connection, or nothing at all for as long as TCP is patient. In an election there is no time for either, and raft itself asks once.
// So after a connection that broke, and after an eighth of the heartbeat time-out without an answer, the question goes out once more, by another connection of the pool.
// The questions of elections may be asked twice: a node gives the same answer to the same candidate in the same term.
//
// The answer that counts is the first that is no error of a connection; after the last question also the first error.
func hedge[T any](heartbeat time.Duration, resp *T, ask func(*T) error) error {
	type answer struct {
		resp T
		err  error
	}
	answers := make(chan answer, 1+maxHedges)
	begin := func() {
		go func() {
			var a answer
			a.err = ask(&a.resp)
			answers <- a
		}()
	}
	patience := heartbeat / 8
	again := time.NewTimer(patience)
	defer again.Stop()
	begin()
	for asked, open := 1, 1; ; {
		select {
		case a := <-answers:
			open--
			if a.err == nil || !isBrokenConn(a.err) || open == 0 && asked > maxHedges {
				*resp = a.resp
				return a.err
			}
		case <-again.C:
		}
		if asked <= maxHedges {
			asked, open = asked+1, open+1
			begin()
			again.Reset(patience)
		}
	}
}

// isBrokenConn tells an error of a connection that had been there from one of making a connection, and from the other node's own word.
func isBrokenConn(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
