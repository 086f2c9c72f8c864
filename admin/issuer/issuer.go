// Package issuer believes an issuer of OpenID Connect: it verifies the tokens that one has signed, with keys that it has fetched before.
//
// It promises:
//   - No request waits for the issuer. One goroutine (Run) fetches the keys, in bounded time and size, and keeps them; they go on being used while the issuer does not
//     answer. A key that is not known is asked for at most every ten seconds, however many tokens name it.
//   - A token counts when it is signed with a key of the issuer by an asymmetric algorithm (never none or HS*), for the audience, in its time with 60 s of slack for
//     clocks, and not larger than MaxToken. Whatever else stands in it is looked at after that.
//   - An error never has a part of the token in it.
//
// It does not promise to know at once of a token that the issuer takes back: a token counts until it expires.
//
// A Verifier is safe for any number of goroutines; Run is called once.
package issuer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// MaxToken is the largest token that is looked at, in bytes.
	MaxToken = 12 << 10
	// Slack is how far two clocks may be apart.
	Slack = time.Minute

	fetchTime  = 10 * time.Second // for both documents together
	refresh    = 10 * time.Minute // how old keys become
	askPause   = 10 * time.Second // between two fetches for a key that is not known
	firstRetry = time.Second
	lastRetry  = time.Minute
	pollTime   = time.Second // how often the state is asked for the issuer
)

// Options say where a Verifier finds what it needs. Issuer and Logger are required.
type Options struct {
	// Issuer is that of the group now, nil for none. It is called often, and must not block.
	Issuer func() *fsm.Issuer
	Logger *slog.Logger
	// Now is the time by which tokens end; nil: time.Now.
	Now func() time.Time
}

// Verifier verifies the tokens of the group's issuer.
type Verifier struct {
	opt  Options
	held atomic.Pointer[held]
	wake chan struct{} // holds one: somebody wants a key that is not known

	// Those of Run.
	client                           *http.Client // of the issuer that held is of
	wanted                           bool         // a key
	due, lastFetch                   time.Time
	retry                            time.Duration
	fetchTime, poll, askPause, first time.Duration
	failed                           error
}

// held is what there is of one issuer. A value is immutable.
type held struct {
	url, authorities string
	keys             map[string][]key // by id; nil: they have never been fetched
	count            int
	fetched          time.Time
	failing          time.Time // since when they could not be fetched; zero: the last time they could
	failure          string
}

func (h *held) of(is *fsm.Issuer) bool {
	return h != nil && h.url == is.URL && h.authorities == is.Authorities
}

// Status is what a node has of the issuer.
type Status struct {
	Keys    int       // that can be used
	Fetched time.Time // when they were fetched; zero: never
	Failing time.Time // since when they could not be fetched again; zero: the last time they could
	Failure string    // why
}

// New makes a Verifier that has no keys yet.
func New(opt Options) *Verifier {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Verifier{opt: opt, wake: make(chan struct{}, 1), fetchTime: fetchTime, poll: pollTime, askPause: askPause, first: firstRetry}
}

// Status says what there is of the issuer now.
func (v *Verifier) Status() Status {
	is, h := v.opt.Issuer(), v.held.Load()
	if is == nil || !h.of(is) {
		return Status{}
	}
	return Status{Keys: h.count, Fetched: h.fetched, Failing: h.failing, Failure: h.failure}
}

// Run fetches the keys of the group's issuer, and again when they are old or one is not known, until ctx ends.
func (v *Verifier) Run(ctx context.Context) {
	tick := time.NewTicker(v.poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		v.look(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-v.wake:
			v.wanted = true
		}
	}
}

// look fetches the keys if that is due.
func (v *Verifier) look(ctx context.Context) {
	is, now := v.opt.Issuer(), time.Now()
	if is == nil {
		v.held.Store(nil)
		return
	}
	h := v.held.Load()
	if !h.of(is) {
		h = &held{url: is.URL, authorities: is.Authorities}
		v.held.Store(h)
		v.client, v.failed = newClient(is)
		v.wanted, v.due, v.lastFetch, v.retry = false, now, time.Time{}, v.first
	}
	asked := v.wanted && h.failing.IsZero() && now.Sub(v.lastFetch) >= v.askPause
	if now.Before(v.due) && !asked {
		return
	}
	next := *h
	keys, err := v.fetch(ctx, is)
	v.lastFetch, v.wanted = time.Now(), false
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		if next.failing.IsZero() {
			next.failing = v.opt.Now()
			v.opt.Logger.Warn("keys of the issuer cannot be fetched; those that are there go on being used", "issuer", is.URL, "keys", next.count, "err", err)
		}
		next.failure = err.Error()
		v.due, v.retry = v.lastFetch.Add(v.retry), min(2*v.retry, lastRetry)
	default:
		if next.count == 0 || !next.failing.IsZero() {
			v.opt.Logger.Info("keys of the issuer fetched", "issuer", is.URL, "keys", count(keys))
		}
		next.keys, next.count, next.fetched, next.failing, next.failure = keys, count(keys), v.opt.Now(), time.Time{}, ""
		v.due, v.retry = v.lastFetch.Add(refresh), v.first
	}
	v.held.Store(&next)
}

// ask has a key fetched that is not known.
func (v *Verifier) ask() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// The errors of Verify beside those that say what is wrong with the token.
var (
	// ErrNoIssuer: the group has none.
	ErrNoIssuer = errors.New("the group believes no issuer")
	// ErrNoKeys: they have not been fetched yet, so nothing can be said about the token.
	ErrNoKeys = errors.New("the keys of the issuer have not been fetched yet")
)
