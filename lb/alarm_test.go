package lb

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// bell counts how often it rings.
type bell struct{ rung atomic.Int64 }

func (b *bell) ring() { b.rung.Add(1) }

// An alarm that was ended is used again; it rings for its new owner, once.
func TestAlarmRingsForItsOwner(t *testing.T) {
	var quiet, loud bell
	for range 100 {
		newAlarm(&quiet, time.Hour).end()
	}
	a := newAlarm(&loud, time.Nanosecond)
	defer a.end()
	eventually(t, "a ring", func() bool { return loud.rung.Load() == 1 })
	a.fire()
	if loud.rung.Load() != 2 || quiet.rung.Load() != 0 {
		t.Errorf("%d %d", loud.rung.Load(), quiet.rung.Load())
	}
}

func TestAlarmsFromManyGoroutines(t *testing.T) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				var b bell
				a := newAlarm(&b, time.Microsecond)
				a.timer.Reset(time.Microsecond)
				a.end()
			}
		})
	}
	all.Wait()
}

// flushes counts them.
type flushes struct {
	httptest.ResponseRecorder
	n int
}

func (f *flushes) FlushError() error {
	f.n++
	return nil
}

// After the end of a response, also a bad one, nothing touches the connection any more: net/http has taken it back.
func TestLateAlarmLeavesTheConnectionAlone(t *testing.T) {
	w := &flushes{ResponseRecorder: *httptest.NewRecorder()}
	broken := errors.New("broken")
	for _, body := range []io.Reader{iotest.ErrReader(broken), iotest.ErrReader(io.EOF)} {
		x := &exchange{w: w, r: httptest.NewRequest(http.MethodGet, "/", nil), edge: plainEdge()}
		if err := x.copyBody(body, 10); err != nil && !errors.Is(err, broken) {
			t.Fatal(err)
		}
		x.out.ring()
		if w.n != 0 {
			t.Error("flushed after the end")
		}
	}
}
