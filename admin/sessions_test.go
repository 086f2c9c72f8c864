package admin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

func TestSessionPages(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	var ids [2]fsm.InstanceID
	for i := range ids {
		ids[i], _ = r.node.state.InstanceID("cluster1", fmt.Sprint("instance", i+1))
	}
	const n = 500
	var ops []fsm.SessionOp
	for i := range n {
		ops = append(ops, fsm.SessionOp{Kind: fsm.OpAssign, Key: keyOf("cluster1", fmt.Sprint("id-", i)), Instance: ids[i%2]})
	}
	r.node.sessions(t, ops...)
	for _, tc := range []struct {
		filter string
		want   int
	}{{"", n}, {"&cluster=cluster1", n}, {"&instance=instance1", n / 2}, {"&cluster=cluster1&instance=instance2", n / 2}, {"&cluster=nope", 0}, {"&instance=instance", 0}} {
		seen, pages, cursor := map[string]bool{}, 0, ""
		for {
			p := decode[wire.SessionPage](t, read(r.api, "/v1/sessions?limit=70"+tc.filter+cursor))
			for _, s := range p.Sessions {
				if seen[s.Key] || s.Cluster != "cluster1" || s.Expires.Sub(s.Seen) != 45*time.Minute {
					t.Fatalf("%q: %+v", tc.filter, s)
				}
				seen[s.Key] = true
			}
			if pages++; len(p.Sessions) > 71 || pages > n {
				t.Fatalf("%q: page %d has %d sessions", tc.filter, pages, len(p.Sessions))
			}
			if cursor = "&cursor=" + p.Next; p.Next == "" {
				break
			}
		}
		if len(seen) != tc.want {
			t.Errorf("%q: %d sessions on %d pages, want %d", tc.filter, len(seen), pages, tc.want)
		}
	}
	key := keyOf("cluster1", "id-7").String()
	if s := decode[wire.Session](t, read(r.api, "/v1/sessions/"+key)); s.Key != key || s.Instance != "instance2" {
		t.Errorf("%+v", s)
	}
}

func TestLookup(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	id, _ := r.node.state.InstanceID("cluster1", "instance1")
	r.node.sessions(t, fsm.SessionOp{Kind: fsm.OpAssign, Key: keyOf("cluster1", "id-1"), Instance: id},
		fsm.SessionOp{Kind: fsm.OpAssign, Key: keyOf("cluster1", "sealed-1"), Instance: id})
	ask := func(what string) wire.LookupResult {
		return decode[wire.LookupResult](t, send(r.api, "POST", "/v1/sessions/lookup", "application/json", strings.NewReader(`{"cluster":"cluster1","contextRoot":"/fortune",`+what+`}`)))
	}
	if l := ask(`"session":"id-1"`); !l.Found || l.Session.Instance != "instance1" || l.Cookie != nil {
		t.Errorf("%+v", l)
	}
	if l := ask(`"session":"id-2"`); l.Found || l.Session != nil || len(l.Key) != 32 {
		t.Errorf("%+v", l)
	}
	if l := ask(`"cookie":"sealed-1"`); !l.Found || l.Cookie == nil || l.Cookie.Instance != "instance1" || l.Cookie.Index != 7 {
		t.Errorf("%+v", l)
	}
}

func TestTokensOverTheAPI(t *testing.T) {
	r := newRig(t)
	create := func(body string) *httptest.ResponseRecorder {
		return send(r.api, "POST", "/v1/tokens", "application/json", strings.NewReader(body))
	}
	w := create(`{"role":"operator","ttlSeconds":3600,"note":"alice"}`)
	made := decode[wire.NewToken](t, w)
	if w.Code != http.StatusCreated || made.Role != "operator" || made.Note != "alice" || made.Expires.IsZero() || made.Expired {
		t.Fatalf("status %d, %+v", w.Code, made)
	}
	parts := strings.Split(made.Secret, ".")
	secret, err := base64.RawURLEncoding.DecodeString(parts[2])
	hash := sha256.Sum256(secret)
	kept, _ := r.node.state.TokenByID(made.ID)
	if err != nil || parts[0] != "hft1" || parts[1] != made.ID || string(kept.Hash) != string(hash[:]) {
		t.Error("the state must keep the SHA-256 of the secret of hft1.ID.SECRET")
	}
	if w := serve(r.api, bearer(httptest.NewRequest("GET", "/v1/status", nil), made.Secret)); w.Code != http.StatusOK {
		t.Errorf("the new token does not open: status %d: %s", w.Code, w.Body)
	}
	if w := create(`{"role":"viewer"}`); !decode[wire.NewToken](t, w).Expires.IsZero() {
		t.Error("an access token without a ttl is for ever")
	}
	join := decode[wire.NewToken](t, create(`{"role":"node"}`))
	if join.Secret != "hfj1."+join.ID || join.Expires.IsZero() {
		t.Errorf("%+v", join)
	}
	wantProblem(t, serve(r.api, bearer(httptest.NewRequest("GET", "/v1/status", nil), join.Secret)), http.StatusUnauthorized, wire.CodeUnauthorized)
	for _, body := range []string{`{"role":"root"}`, `{"role":""}`, `{}`, `{"role":"viewer","ttlSeconds":-1}`, `{"role":"viewer","ttlSeconds":1.5}`, `{"role":"node","ttlSeconds":864000}`,
		`{"role":"viewer","ttlSeconds":9e18}`, `{"role":"viewer","note":"` + strings.Repeat("n", 300) + `"}`} {
		wantProblem(t, create(body), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	}
	list := decode[wire.TokenList](t, read(r.api, "/v1/tokens"))
	if len(list.Tokens) != 3 {
		t.Errorf("%+v", list)
	}
	if body := read(r.api, "/v1/tokens").Body.String(); strings.Contains(body, "hash") || strings.Contains(body, parts[2]) {
		t.Errorf("the list has secrets: %s", body)
	}
	if w := serve(r.api, local(httptest.NewRequest("DELETE", "http://127.0.0.1/v1/tokens/"+made.ID, nil))); w.Code != http.StatusNoContent {
		t.Errorf("revoke: status %d: %s", w.Code, w.Body)
	}
	wantProblem(t, serve(r.api, bearer(httptest.NewRequest("GET", "/v1/status", nil), made.Secret)), http.StatusUnauthorized, wire.CodeUnauthorized)
	if strings.Contains(r.log.String(), parts[2]) {
		t.Error("the log has the secret")
	}
}
