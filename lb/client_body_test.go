package lb

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func bodyOf(text string, limit int64) *clientBody {
	return newClientBody(io.NopCloser(strings.NewReader(text)), limit, &headWait{})
}

func TestBodyIsKeptUpToTheLimit(t *testing.T) { // WAS-23: 64 KiB
	const limit = 64 << 10
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 4095, 4096, 4097, limit - 1, limit} {
		text := strings.Repeat("0123456789abcdef!", size/17+1)[:size]
		c := bodyOf(text, limit)
		first := c.current.Load()
		for range 5 { // each attempt breaks off somewhere
			n := rng.IntN(size + 1)
			if got, err := io.ReadAll(io.LimitReader(first, int64(n))); err != nil || string(got) != text[:n] {
				t.Fatalf("size %d: %d bytes, %v", size, len(got), err)
			}
			if !c.repeatable(false) {
				t.Fatalf("size %d: cannot be sent again after %d", size, n)
			}
			again, err := c.again()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := first.Read(make([]byte, 1)); size > n && !errors.Is(err, errBodyTaken) {
				t.Fatalf("an old attempt still reads: %v", err)
			}
			first = again.(*bodyAttempt)
		}
		if got, err := io.ReadAll(first); err != nil || string(got) != text {
			t.Fatalf("size %d: the last attempt got %d bytes, %v", size, len(got), err)
		}
		if !c.repeatable(true) {
			t.Fatalf("size %d: cannot be sent again after its end", size)
		}
		if got := int64(len(c.kept.list)) * pieceLen; got > limit {
			t.Fatalf("%d bytes are held", got)
		}
		c.release()
	}
}

func TestLongerBodyIsNotKept(t *testing.T) {
	for _, c := range []struct{ size, limit int }{{64<<10 + 1, 64 << 10}, {10 << 20, 64 << 10}, {1, 0}, {100, 10}} {
		body := bodyOf(strings.Repeat("x", c.size), int64(c.limit))
		if !body.repeatable(false) {
			t.Errorf("%+v: cannot be sent again before its first byte was read", c)
		}
		if n, err := io.Copy(io.Discard, &body.first); err != nil || n != int64(c.size) {
			t.Fatal(n, err)
		}
		if body.repeatable(false) {
			t.Errorf("%+v: would be sent again without its beginning", c)
		}
		if _, err := body.again(); !errors.Is(err, errBodyUsed) {
			t.Errorf("%+v: %v", c, err)
		}
		if held := len(body.kept.list) * pieceLen; held > max(c.limit, pieceLen) {
			t.Errorf("%+v: %d bytes are held", c, held)
		}
		if c.limit == 0 && body.kept.list != nil {
			t.Error("something is held without need")
		}
	}
}

func TestBodyFailureIsTheClients(t *testing.T) {
	broken := errors.New("broken")
	c := newClientBody(io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))), 100, &headWait{})
	if _, err := io.ReadAll(&c.first); !errors.Is(err, broken) || !errors.Is(c.failure(), broken) || c.repeatable(false) {
		t.Fatal(err, c.failure())
	}
}

// A read that an attempt left behind must not swallow what the next attempt needs.
func TestReadLeftBehindLosesNothing(t *testing.T) {
	r, w := io.Pipe()
	c := newClientBody(r, 100, &headWait{})
	left := make(chan string, 1)
	go func() {
		p := make([]byte, 50)
		n, _ := c.first.Read(p)
		left <- string(p[:n])
	}()
	w.Write([]byte("ab"))
	if got := <-left; got != "ab" {
		t.Fatal(got)
	}
	go func() {
		p := make([]byte, 50)
		n, _ := c.first.Read(p)
		left <- string(p[:n])
	}()
	eventually(t, "the read is under way", func() bool {
		if c.turn.TryLock() {
			c.turn.Unlock()
			return false
		}
		return true
	})
	again, err := c.again()
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1)
	go func() {
		got, _ := io.ReadAll(again)
		all <- string(got)
	}()
	w.Write([]byte("cd"))
	<-left
	w.Write([]byte("ef"))
	w.Close()
	if got := <-all; got != "abcdef" {
		t.Fatalf("the next attempt got %q", got)
	}
}

// TestKeptBytesWaitForNobody: another attempt begins with what was kept although the one before still waits for the client, who may be waiting for an answer.
func TestKeptBytesWaitForNobody(t *testing.T) {
	r, w := io.Pipe()
	c := newClientBody(r, 100, &headWait{})
	left := make(chan struct{})
	go func() { io.Copy(io.Discard, &c.first); close(left) }()
	w.Write([]byte("ab"))
	eventually(t, "more is waited for", func() bool {
		free := c.turn.TryLock()
		if free {
			c.turn.Unlock()
		}
		return !free
	})
	next, err := c.again()
	if err != nil {
		t.Fatal(err)
	}
	kept := make(chan string)
	all := make(chan string)
	go func() {
		p := make([]byte, 10)
		n, _ := next.Read(p)
		kept <- string(p[:n])
		rest, _ := io.ReadAll(next)
		all <- string(rest)
	}()
	select {
	case got := <-kept:
		if got != "ab" {
			t.Error(got)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the client")
		defer func() { <-kept; <-all }()
	}
	w.Write([]byte("cd"))
	w.Close()
	<-left
	if !t.Failed() {
		if got := <-all; got != "cd" {
			t.Error(got)
		}
	}
}

func TestReadOfUnkeptBytesForbidsAnotherAttempt(t *testing.T) {
	r, w := io.Pipe()
	c := newClientBody(r, 2, &headWait{})
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, &c.first); close(done) }()
	w.Write([]byte("ab"))
	eventually(t, "the third byte is waited for", func() bool { return !c.repeatable(false) })
	w.Close() // it ends here: nothing was lost
	<-done
	if !c.repeatable(true) {
		t.Fatal("cannot be sent again")
	}
	again, _ := c.again()
	if got, err := io.ReadAll(again); err != nil || string(got) != "ab" {
		t.Fatal(string(got), err)
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte("abc"), uint16(4000), uint16(3))
	f.Fuzz(func(t *testing.T, unit []byte, times, step uint16) {
		var k pieces
		var want []byte
		for range times % 300 {
			k.add(unit)
			want = append(want, unit...)
		}
		got := []byte{}
		p := make([]byte, int(step)%9000+1)
		for {
			n := k.readAt(p, int64(len(got)))
			if n == 0 {
				break
			}
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d", len(got), len(want))
		}
		k.release()
	})
}
