package hostile

import "testing"

// TestTrialNoticesAProxyThatPassesEverything: without anything in between, refused requests must be reported, or the corpus proves nothing; a plain request
// must not be.
func TestTrialNoticesAProxyThatPassesEverything(t *testing.T) {
	o, err := NewOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	trial := &Trial{Addr: o.Addr, Origin: o}
	for _, r := range hostFields { // those whose heads are whole and that have no body, so that the origin waits for nothing
		if wrong := trial.Try(r, Way{Followed: true}); len(wrong) == 0 {
			t.Errorf("%s: nothing was wrong", r.Name)
		}
	}
	o.Take()
	plain := asks("plain", "GET /s HTTP/1.1", host, "/s", "host: a.example")
	for _, followed := range []bool{false, true} {
		if wrong := trial.Try(plain, Way{Followed: followed}); len(wrong) > 0 {
			t.Errorf("a plain request: %q", wrong)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range Groups() {
		for _, r := range g.Requests {
			if key := g.Name + "/" + r.Name; seen[key] {
				t.Errorf("two requests are called %s", key)
			} else {
				seen[key] = true
			}
		}
	}
}
