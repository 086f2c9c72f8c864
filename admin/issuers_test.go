package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// login is an issuer on this machine with one key.
type login struct {
	url string
	key *ecdsa.PrivateKey
}

func newLogin(t *testing.T) *login {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: k.Public(), KeyID: "k", Algorithm: "ES256"}}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.SetIssuer(srv.URL)
	return &login{srv.URL, k}
}

// token is one of the issuer, for so long.
func (l *login) token(name string, groups []string, life time.Duration) string {
	return oidctest.SignIDToken(l.key, "k", "ES256", fmt.Sprintf(`{"iss":%q,"aud":"holdfast","sub":"1","name":%q,"groups":["%s"],"exp":%d}`, l.url, name, strings.Join(groups, `","`), time.Now().Add(life).Unix()))
}

// served has the API answer as a node does, and gives its address and the end.
func served(t *testing.T, r *rig) (base string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- admin.Serve(ctx, ln, r.api, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// believedBy waits until a call with the token has this status.
func believedBy(t *testing.T, r *rig, token, method, path, body string, status int) *httptest.ResponseRecorder {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(time.Minute)
	for {
		w := asked(r.api, token, method, path, body)
		if w.Code == status {
			return w
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s %s: status %d: %s", method, path, w.Code, w.Body)
		}
	}
}

// TestAnIssuerOpensTheAPI: TIP-23, TIP-26. Whom the issuer vouches for may what the groups of users allow that it is in; the settings count at once.
func TestAnIssuerOpensTheAPI(t *testing.T) {
	r := configured(t)
	served(t, r)
	l := newLogin(t)
	token := l.token("Alice Ä", []string{"all", "lb-ops"}, time.Hour)
	wantProblem(t, asked(r.api, token, "GET", "/v1/whoami", ""), http.StatusUnauthorized, wire.CodeUnauthorized)
	must(t, post(r.api, "PUT", "/v1/user-groups/ops", `{"roles":["viewer"]}`))
	settings := fmt.Sprintf(`{"url":%q,"audience":"holdfast","userClaim":"name","groups":[{"claim":"lb-ops","group":"ops"},{"claim":"other","group":"ops"}]}`, l.url)
	is := decode[wire.Issuer](t, post(r.api, "PUT", "/v1/issuer", settings))
	if is.GroupsClaim != "groups" || is.UserClaim != "name" || len(is.Groups) != 2 || is.Version == 0 {
		t.Errorf("%+v", is)
	}
	who := decode[wire.Whoami](t, believedBy(t, r, token, "GET", "/v1/whoami", "", http.StatusOK))
	if who.Actor != "oidc user Alice Ä" || who.Issuer != l.url || who.Token != "" || !slices.Equal(who.Groups, []string{"ops"}) || !slices.Equal(who.Roles, []string{"viewer"}) || who.Expires.IsZero() {
		t.Errorf("%+v", who)
	}
	if k := decode[wire.Issuer](t, read(r.api, "/v1/issuer")).Keys; k.Count != 1 || k.Node != "n1" || k.Failure != "" {
		t.Errorf("%+v", k)
	}
	wantProblem(t, asked(r.api, token, "POST", "/v1/config/edits", disable1), http.StatusForbidden, wire.CodeForbidden)
	must(t, post(r.api, "PUT", "/v1/user-groups/ops", `{"roles":["operator"]}`))
	must(t, asked(r.api, token, "POST", "/v1/config/edits", disable1))
	if rev := r.node.state.Revision(); rev.Actor != "oidc user Alice Ä" {
		t.Errorf("the history says %q", rev.Actor)
	}
	// A user of the group is somebody else, whatever the name.
	must(t, post(r.api, "PUT", "/v1/users/root", `{"roles":["admin"]}`))
	if who := decode[wire.Whoami](t, asked(r.api, l.token("root", nil, time.Hour), "GET", "/v1/whoami", "")); len(who.Roles) != 0 || who.Actor != "oidc user root" {
		t.Errorf("%+v", who)
	}
	p := wantProblem(t, asked(r.api, l.token("a", nil, -time.Hour), "GET", "/v1/status", ""), http.StatusUnauthorized, wire.CodeUnauthorized)
	if !strings.Contains(p.Detail, "has expired") {
		t.Error(p.Detail)
	}
	wantProblem(t, asked(r.api, token+"x", "GET", "/v1/status", ""), http.StatusUnauthorized, wire.CodeUnauthorized)
	// Access tokens go on.
	must(t, asked(r.api, tokenFor(t, r, `{"role":"viewer"}`).Secret, "GET", "/v1/status", ""))
	must(t, post(r.api, "DELETE", "/v1/issuer", ""))
	wantProblem(t, asked(r.api, token, "GET", "/v1/whoami", ""), http.StatusUnauthorized, wire.CodeUnauthorized)
	wantProblem(t, post(r.api, "DELETE", "/v1/issuer", ""), http.StatusNotFound, wire.CodeNotFound)
	wantProblem(t, read(r.api, "/v1/issuer"), http.StatusNotFound, wire.CodeNotFound)
	if strings.Contains(r.log.String(), token[:40]) {
		t.Error("the log has a token in it")
	}
}

// TestAnIssuerThatIsDown: nobody waits for it, nobody gets in by it, everybody else does, and the status says so.
func TestAnIssuerThatIsDown(t *testing.T) {
	r := newRig(t)
	served(t, r)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts nobody
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + ln.Addr().String()
	ln.Close()
	must(t, post(r.api, "PUT", "/v1/issuer", fmt.Sprintf(`{"url":%q,"audience":"holdfast"}`, dead)))
	p := wantProblem(t, asked(r.api, newLogin(t).token("a", nil, time.Hour), "GET", "/v1/status", ""), http.StatusServiceUnavailable, wire.CodeNotReady)
	if !strings.Contains(p.Detail, "no keys of the issuer yet") {
		t.Error(p.Detail)
	}
	viewer := tokenFor(t, r, `{"role":"viewer"}`).Secret
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(time.Minute)
	for {
		s := decode[wire.Status](t, asked(r.api, viewer, "GET", "/v1/status", ""))
		if slices.ContainsFunc(s.Problems, func(p string) bool { return strings.HasPrefix(p, "node n1 cannot fetch the keys of the issuer since ") }) {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("the status does not say it: %q", s.Problems)
		}
	}
}

// TestIssuerSettings: what cannot be believed is refused with the reason.
func TestIssuerSettings(t *testing.T) {
	r := newRig(t)
	for body, says := range map[string]string{
		`{"url":"http://login.example","audience":"a"}`:                                         "body.url",
		`{"url":"https://u@login.example","audience":"a"}`:                                      "body.url",
		`{"url":"","audience":"a"}`:                                                             "body.url",
		`{"url":"https://login.example"}`:                                                       "body",
		`{"url":"https://login.example","audience":""}`:                                         "body.audience",
		`{"url":"https://login.example","audience":"a","authorities":"x"}`:                      "body.authorities",
		`{"url":"https://login.example","audience":"a","groups":[{"claim":"","group":"g"}]}`:    "body.groups[0].claim",
		`{"url":"https://login.example","audience":"a","secret":"x"}`:                           "body",
		`{"url":"` + "https://login.example/" + strings.Repeat("x", 1100) + `","audience":"a"}`: "body.url",
	} {
		p := wantProblem(t, post(r.api, "PUT", "/v1/issuer", body), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
		if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, says) {
			t.Errorf("%.80s: %+v", body, p.Errors)
		}
	}
	wantProblem(t, post(r.api, "PUT", "/v1/issuer", `{"url":"https://login.example","audience":"a","groups":[{"claim":"x","group":"none"}]}`), http.StatusConflict, wire.CodeRefused)
	is := decode[wire.Issuer](t, post(r.api, "PUT", "/v1/issuer", `{"url":"https://login.example","audience":"a","version":0}`))
	wantProblem(t, post(r.api, "PUT", "/v1/issuer", `{"url":"https://login.example","audience":"b","version":0}`), http.StatusConflict, wire.CodeRefused)
	must(t, post(r.api, "PUT", "/v1/issuer", fmt.Sprintf(`{"url":"https://login.example","audience":"b","version":%d}`, is.Version)))
}
