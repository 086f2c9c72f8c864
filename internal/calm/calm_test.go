package calm

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// heard is a test that notes what it is told.
type heard struct {
	testing.TB
	errors []string
	voids  int
}

func (h *heard) Helper()             {}
func (h *heard) Failed() bool        { return len(h.errors) > 0 }
func (h *heard) Logf(string, ...any) { h.voids++ }
func (h *heard) Error(args ...any)   { h.errors = append(h.errors, fmt.Sprint(args...)) }

func (h *heard) Fatal(args ...any) {
	h.Error(args...)
	runtime.Goexit()
}

// TestTry: what is wrong is tried again after a stall, and only then; a stall alone costs nothing.
func TestTry(t *testing.T) {
	var stood atomic.Int64
	now = func() time.Time { return time.Now().Add(time.Duration(stood.Load())) }
	defer func() { now = time.Now }()
	stall := func(t testing.TB) { stood.Add(int64(time.Hour)) }
	most := 30 * time.Minute // no machine stands still for so long
	for _, c := range []struct {
		name       string
		trial      func(t testing.TB, n int)
		runs       int
		wantErrors []string
	}{
		{"good", func(testing.TB, int) {}, 1, nil},
		{"a stall that broke nothing", func(t testing.TB, _ int) { stall(t) }, 1, nil},
		{"wrong", func(t testing.TB, _ int) { t.Errorf("a %s", "b"); t.Error("c", 1) }, 1, []string{"a b", "c 1"}},
		{"wrong in a stall", func(t testing.TB, n int) {
			if n < 3 {
				stall(t)
				t.Error("late")
			}
		}, 3, nil},
		{"wrong after a stall as well", func(t testing.TB, n int) {
			if n == 1 {
				stall(t)
			}
			t.Errorf("wrong %d", n)
		}, 2, []string{"wrong 2"}},
		{"always a stall", func(t testing.TB, n int) { stall(t); t.Error("late", n) }, tries, []string{"late 20"}},
		{"fatal in a stall", func(t testing.TB, _ int) { stall(t); t.Error("a"); t.Fatal("b") }, 1, []string{"b", "a"}},
		{"wrong at its end", func(t testing.TB, n int) {
			t.Cleanup(func() {
				if n < 2 {
					stall(t)
					t.Error("not closed")
				}
			})
		}, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, runs, ended := &heard{TB: t}, 0, 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				Try(h, most, func(t testing.TB) {
					if runs != ended {
						t.Error("the one before has not ended")
					}
					runs++
					t.Cleanup(func() { ended++ })
					if t.Failed() {
						t.Error("what the one before had to say is still there")
					}
					c.trial(t, runs)
				})
			}()
			<-done
			if runs != c.runs || ended != runs || h.voids > runs || !slices.EqualFunc(h.errors, c.wantErrors, strings.HasSuffix) {
				t.Errorf("%d runs, %d ends, %d void, errors %q", runs, ended, h.voids, h.errors)
			}
			for _, text := range h.errors {
				if text != "b" && !strings.HasPrefix(text, "calm_test.go:") {
					t.Errorf("%q does not say where", text)
				}
			}
		})
	}
}
