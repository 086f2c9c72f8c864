package wire_test

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// TestNothingOfABrokenBodyIsARequest: a handler that answers 200 whatever the body is, and lets the connection persist, gets no second request out of what is
// left of it, and the client no second answer.
func TestNothingOfABrokenBodyIsARequest(t *testing.T) {
	origin := new(recorder)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin.mu.Lock()
		origin.seen = append(origin.seen, r.RequestURI)
		origin.mu.Unlock()
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil { // as proxies need it; then net/http leaves the rest of the body to the handler
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}), wire.Limits{}, nil)
	for _, h := range brokenBodies {
		for _, step := range []int{0, 1} {
			if step == 1 && len(h.Raw) > 1<<10 {
				continue
			}
			c := dial(t, addr)
			sendSplit(c, h.Raw+inner, step)
			if got, _, _ := c.finish(); !slices.Equal(got, []int{200}) {
				t.Errorf("%s: answers %v, want one", h.Name, got)
			}
			if seen := origin.take(); !slices.Equal(seen, []string{"/c"}) {
				t.Errorf("%s: the server saw %q", h.Name, seen)
			}
		}
	}
}
