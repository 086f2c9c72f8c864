package lb

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

// An authority that is asked for a certificate looks whether the names are the group's own: it asks one of the addresses to which they lead, hence any node. What
// is to be answered is in the replicated state while the order lasts (RFC 8555 section 8.3, RFC 8737), and only then anything is answered here at all.

// challengePath is where http-01 is asked for. No path of a loop begins so: plainPath leaves it to net/http.
const challengePath = "/.well-known/acme-challenge/"

// challenge is one that is open.
type challenge struct {
	Type             string `json:"type"`
	Token            string `json:"token"`
	KeyAuthorization string `json:"keyAuthorization"`
	Identifier       struct {
		Value string `json:"value"`
	} `json:"identifier"`
}

// challenges are those that are open. They are immutable.
type challenges struct {
	byToken map[string]string // http-01: the key authorization
	byHost  map[string]string // tls-alpn-01: the same
}

// maxChallenges is how many are looked at: more than one order has.
const maxChallenges = 1000

// takeChallenges looks which challenges are open. It works under Balancer.mu.
func (b *Balancer) takeChallenges(o *fsm.Operating, g *fsm.Group) {
	if sameSlice(b.vault.acme, o.ACMEValues) && g != nil {
		return
	}
	var open *challenges
	if g != nil {
		b.vault.acme = o.ACMEValues
		open = openChallenges(o.ACMEValues, g.Secret)
	}
	b.challenges.Store(open)
}

// openChallenges gives nil when there are none. What cannot be read is none.
func openChallenges(values []fsm.ACMEValue, secret []byte) *challenges {
	all, n := &challenges{byToken: map[string]string{}, byHost: map[string]string{}}, 0
	for i := range values {
		v := &values[i]
		if !strings.Contains(v.Key, "/challenge_tokens/") || n >= maxChallenges {
			continue
		}
		text, err := certs.OpenValue(secret, v.Key, v.Sealed)
		if err != nil {
			continue
		}
		var c challenge
		if json.Unmarshal(text, &c) != nil || c.KeyAuthorization == "" {
			continue
		}
		switch c.Type {
		case "http-01":
			if c.Token == "" {
				continue
			}
			all.byToken[c.Token] = c.KeyAuthorization
		case "tls-alpn-01":
			if c.Identifier.Value == "" { // a client that names no server must not get it
				continue
			}
			all.byHost[strings.ToLower(c.Identifier.Value)] = c.KeyAuthorization
		default:
			continue
		}
		n++
	}
	if n == 0 {
		return nil
	}
	return all
}

// answersChallenge answers a request for the token of a challenge that is open; false: it is one like any other. It comes before redirects and limits: an authority
// may ask from several places at once, and a token is known to it alone.
func (x *exchange) answersChallenge() bool {
	open := x.b.challenges.Load()
	if open == nil || x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return false
	}
	token, ok := strings.CutPrefix(x.r.URL.Path, challengePath)
	if !ok {
		return false
	}
	answer, ok := open.byToken[token]
	if !ok {
		return false
	}
	h := x.w.Header()
	h["Content-Type"], h["Content-Length"], h["Cache-Control"] = []string{"application/octet-stream"}, []string{strconv.Itoa(len(answer))}, []string{"no-store"}
	x.sayLast(h)
	x.tellRequestID(h)
	x.status, x.head = http.StatusOK, true
	x.w.WriteHeader(x.status)
	if x.r.Method == http.MethodGet {
		n, _ := io.WriteString(x.w, answer) // who does not wait for it gets another one
		x.sent = int64(n)
	}
	return true
}
