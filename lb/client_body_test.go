package lb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
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

// TestKeptBodiesOfAllAreBounded: when those that are kept take all the memory that they may, others are not kept, and what comes of them is whole all the same.
func TestKeptBodiesOfAllAreBounded(t *testing.T) {
	k := newKeeping()
	k.most = 3 * pieceLen
	text := strings.Repeat("0123456789abcdef", 2*pieceLen/16)
	make := func() *clientBody {
		c := bodyOf(text, 1<<20)
		c.kept.of = k
		return c
	}
	first, second, third := make(), make(), make()
	for i, c := range []*clientBody{first, second} {
		if got, err := io.ReadAll(&c.first); err != nil || string(got) != text {
			t.Fatal(i, len(got), err)
		}
		if again := c.repeatable(true); again != (i == 0) {
			t.Errorf("body %d can be sent again: %v", i, again)
		}
	}
	if _, err := second.again(); !errors.Is(err, errBodyUsed) {
		t.Error(err)
	}
	if n := k.held.Load(); n != 2*pieceLen {
		t.Errorf("%d bytes are held: one that is kept no more gives back what it had", n)
	}
	// An attempt that began while a read was under way whose bytes could not be kept must not go on without them.
	third.src = io.NopCloser(io.MultiReader(strings.NewReader(text[:pieceLen]), readerFunc(func(p []byte) (int, error) {
		if third.current.Load() == &third.first {
			if _, err := third.again(); err != nil {
				t.Error(err)
			}
		}
		return copy(p, text[pieceLen:]), io.EOF
	})))
	if got, err := io.ReadAll(io.LimitReader(&third.first, pieceLen)); err != nil || string(got) != text[:pieceLen] {
		t.Fatal(len(got), err)
	}
	if _, err := third.first.Read([]byte{0}); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(third.current.Load()); !errors.Is(err, errBodyNotKept) || string(got) != text[:len(got)] {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, c := range []*clientBody{first, second, third} {
		c.release()
	}
	if n := k.held.Load(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSlowBodiesInBoundedMemory: clients that stop in the middle of what is kept for them take no more together than they may, and lose nothing but the second attempt.
func TestSlowBodiesInBoundedMemory(t *testing.T) {
	const clients, half = 20, 20 << 10
	r := newRig(t, bare(inst("i1", newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
		n, _ := io.Copy(io.Discard, q.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Length: %d\r\nContent-Length: 0\r\n\r\n", n)
		return true
	}).url)))
	r.b.keeping.most = 5 * half
	var all []*rawConn
	for range clients {
		c := dialRaw(t, r)
		c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\nContent-Length: %d\r\n\r\n%s", 2*half, strings.Repeat("x", half)))
		all = append(all, c)
	}
	r.wait("most are not kept", func() bool { return metric(t, r, "holdfast_request_bodies_not_kept_total") >= clients-6 })
	if n := r.b.keeping.held.Load(); n > 5*half {
		t.Errorf("%d bytes are held", n)
	}
	for _, c := range all {
		c.write(strings.Repeat("y", half))
		if got := c.response(); got.StatusCode != 200 || got.Header.Get("X-Length") != fmt.Sprint(2*half) {
			t.Errorf("%d, %s bytes reached the instance", got.StatusCode, got.Header.Get("X-Length"))
		}
	}
	r.wait("nothing is held", func() bool { return r.b.keeping.held.Load() == 0 })
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
