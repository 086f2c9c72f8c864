//go:build mutants

package mutant

import "testing"

func TestParse(t *testing.T) {
	got := parse(" ack-before-commit, ,cookie-unauthenticated")
	if len(got) != 2 || !got[AckBeforeCommit] || !got[CookieUnauthenticated] {
		t.Errorf("parse gave %v", got)
	}
	if len(parse("")) != 0 {
		t.Error("an empty list switches something on")
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown name was accepted")
		}
	}()
	parse("ack-before-comit")
}
