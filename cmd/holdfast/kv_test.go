package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestKVDeleteSaysWhatIsGone: as every command that changes something, and one that removes all keys of a module most of all.
func TestKVDeleteSaysWhatIsGone(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer srv.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"shop", "motd"}, "key motd removed\n"},
		{[]string{"shop", "--all"}, "all keys of shop removed; 'holdfast events' says how many\n"},
		{[]string{"shop", "--module", "/cart", "--all"}, "all keys of shop/cart removed; 'holdfast events' says how many\n"},
		{[]string{"shop", "--all", "-o", "json"}, `"removed": true`},
	} {
		status, out, errOut := command(t, srv.URL, append([]string{"kv", "delete"}, c.args...)...)
		if status != exitDone || !strings.Contains(out, c.want) {
			t.Errorf("%q: %d, %q, %s", c.args, status, out, errOut)
		}
	}
}
