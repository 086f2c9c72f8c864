package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/server/acme"
)

const (
	// attemptWait bounds one attempt to obtain a certificate: an authority that does not answer is given up for this time.
	attemptWait = 3 * time.Minute
	// challengeWait is how long the nodes are waited for before an authority is told that a challenge can be asked for; one that is slower may fail it.
	challengeWait, challengePoll = 5 * time.Second, 50 * time.Millisecond
)

// acmeDuty obtains the certificates of the configuration's part acme, and renews them. What it needs to go on is in the state: the account, challenges that are
// open, when a failure is tried again. A leader that dies in the middle of an order leaves that to the authority, and the next one makes another.
type acmeDuty struct {
	*term
	number uint64
	group  func() *fsm.Group
	// open makes a client; tests have others.
	open func(*acme.Store, *config.ACME, *x509.CertPool) (obtainer, error)

	client obtainer
	store  *acme.Store
	made   madeFor
}

// obtainer is *acme.Client.
type obtainer interface {
	Obtain(context.Context, *config.ACMECertificate) (*certs.Pair, error)
	Close()
}

// madeFor is what a client was made for: another one is needed when it changes.
type madeFor struct {
	config      *config.ACME
	authorities []uint64 // versions
}

func newACMEClient(s *acme.Store, c *config.ACME, roots *x509.CertPool) (obtainer, error) {
	return acme.NewClient(s, c, roots)
}

func (*acmeDuty) name() string { return "acme" }

func (d *acmeDuty) look(ctx context.Context) (time.Duration, error) {
	o, group := d.state.Operating(), d.group()
	if err := d.forget(ctx, o); err != nil {
		return 0, err
	}
	if o.Config.ACME == nil || group == nil {
		d.close()
		return never, nil
	}
	again := never
	for i := range o.Config.ACME.Certificates {
		want := &o.Config.ACME.Certificates[i]
		left := d.due(o, want).Sub(d.now())
		if left <= 0 {
			return 0, d.attempt(ctx, o, group, want)
		}
		again = min(again, left)
	}
	return again, nil
}

// forget drops what is known of certificates that are not obtained any more.
func (d *acmeDuty) forget(ctx context.Context, o *fsm.Operating) error {
	for i := range o.ACMEStates {
		if name := o.ACMEStates[i].Certificate; o.Config.ACMECertificate(name) == nil {
			if err := d.note(ctx, &fsm.ACMENote{Certificate: name}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *acmeDuty) note(ctx context.Context, n *fsm.ACMENote) error {
	r, err := d.do(ctx, n)
	if err == nil {
		err = refusal(r)
	}
	return err
}

// due is when a certificate is to be obtained.
func (d *acmeDuty) due(o *fsm.Operating, want *config.ACMECertificate) time.Time {
	at := time.Time{}
	state := o.ACMEState(want.Name)
	if state == nil || state.Requested.IsZero() {
		at = dueByItself(o.Certificate(want.Name), want)
	}
	if state != nil && state.Next.After(at) {
		at = state.Next
	}
	return at
}

// dueByItself is when a certificate is renewed: at once when there is none, or it is not what is wanted.
func dueByItself(is *fsm.Certificate, want *config.ACMECertificate) time.Time {
	if is == nil || is.Authorities() {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(is.Chain[0])
	if err != nil || slices.ContainsFunc(want.Hosts, func(host string) bool { return leaf.VerifyHostname(host) != nil }) {
		return time.Time{}
	}
	info, err := certs.Describe(is.Chain[0])
	if err != nil || info.Key != keyNames[want.Key] {
		return time.Time{}
	}
	// An authority may issue what has little life left, or none: it must not be asked again and again because of that.
	at := info.RenewAt()
	for _, floor := range []time.Time{is.Changed.Add(leastAge), is.Changed.Add(info.NotAfter.Sub(is.Changed) / 2)} {
		if floor.After(at) {
			at = floor
		}
	}
	return at
}

// leastAge is how old a certificate is at least when it is renewed by itself.
const leastAge = time.Minute

// keyNames are the kinds of keys as certs.Describe names them.
var keyNames = map[string]string{"ecdsa-p256": "ECDSA P-256", "ecdsa-p384": "ECDSA P-384", "rsa-2048": "RSA 2048", "rsa-4096": "RSA 4096"}

// attempt makes one, and has the group take what came of it.
func (d *acmeDuty) attempt(ctx context.Context, o *fsm.Operating, group *fsm.Group, want *config.ACMECertificate) error {
	failures := 1
	if s := o.ACMEState(want.Name); s != nil {
		failures += s.Failures
	}
	d.log.Info("obtaining a certificate", "certificate", want.Name, "hosts", want.Hosts, "authority", o.Config.ACME.Directory)
	pair, err := d.obtain(ctx, o, group, want)
	if ctx.Err() != nil {
		return ctx.Err() // the term is over: the next leader does it
	}
	if errors.Is(err, errOtherwise) {
		return nil // the configuration wants something else by now
	}
	if err != nil {
		return d.failed(ctx, want, failures, err)
	}
	return d.take(ctx, group, want, pair, failures)
}

// failed notes that an attempt has come to nothing, and when the next one is made.
func (d *acmeDuty) failed(ctx context.Context, want *config.ACMECertificate, failures int, err error) error {
	pause, reason := acme.Pause(err, failures, d.now()), acme.Reason(err)
	d.log.Warn("a certificate could not be obtained; it is tried again", "certificate", want.Name, "failures", failures, "next", pause, "error", reason)
	return d.note(ctx, &fsm.ACMENote{Certificate: want.Name, Error: reason, Pause: pause})
}

// errOtherwise ends an attempt whose reason has gone.
var errOtherwise = errors.New("the configuration has changed")

// obtain asks the authority, for a bounded time, and no longer than the configuration wants it.
func (d *acmeDuty) obtain(ctx context.Context, o *fsm.Operating, group *fsm.Group, want *config.ACMECertificate) (*certs.Pair, error) {
	client, err := d.clientFor(ctx, o, group)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	limited, cancel := context.WithTimeoutCause(ctx, attemptWait, fmt.Errorf("the authority has not issued it in %v", attemptWait))
	defer cancel()
	go d.watch(limited, o.Config.ACME, end)
	pair, err := client.Obtain(limited, want)
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("%w (%v)", context.Cause(limited), err)
	}
	return pair, err
}

// watch ends an attempt when the configuration does not want it any more.
func (d *acmeDuty) watch(ctx context.Context, was *config.ACME, end context.CancelCauseFunc) {
	for {
		changed := d.changed()
		if !reflect.DeepEqual(d.state.Operating().Config.ACME, was) {
			end(errOtherwise)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// clientFor gives a client that does what the configuration says.
func (d *acmeDuty) clientFor(ctx context.Context, o *fsm.Operating, group *fsm.Group) (obtainer, error) {
	made := madeFor{config: o.Config.ACME}
	var roots *x509.CertPool
	for _, name := range o.Config.ACME.Authorities {
		bundle := o.Certificate(name)
		if bundle == nil || !bundle.Authorities() {
			return nil, fmt.Errorf("acme.authorities: the group has no bundle of authorities %s", name)
		}
		if roots == nil {
			roots = x509.NewCertPool()
		}
		for _, der := range bundle.Chain {
			if ca, err := x509.ParseCertificate(der); err == nil {
				roots.AddCert(ca)
			}
		}
		made.authorities = append(made.authorities, bundle.Version)
	}
	if d.client != nil && reflect.DeepEqual(d.made, made) {
		return d.client, nil
	}
	d.close()
	d.store = &acme.Store{
		State: d.state.Operating, Secret: group.Secret, Propose: d.do, Changed: d.changed, Node: d.node, Term: d.number,
		Settle: d.settle,
	}
	client, err := d.open(d.store, o.Config.ACME, roots)
	if err != nil {
		return nil, err
	}
	d.client, d.made = client, made
	return client, nil
}

// close lets the client go.
func (d *acmeDuty) close() {
	if d.client != nil {
		d.client.Close()
		d.store.Close()
		d.client, d.store = nil, nil
	}
}

// settle waits until every node that answers would answer the challenge that has just been stored.
func (d *acmeDuty) settle(ctx context.Context) {
	index := d.state.Operating().Index
	ctx, cancel := context.WithTimeout(ctx, challengeWait)
	defer cancel()
	tick := time.NewTicker(challengePoll)
	defer tick.Stop()
	for {
		reports, _ := d.reports.get(ctx, 0)
		if ctx.Err() != nil || len(reports) > 0 && !slices.ContainsFunc(reports, func(r memberReport) bool { return r.reachable && r.InForce < index }) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// take has the group keep a certificate, with its key sealed. One that the group refuses is a failure like any other: the authority must not be asked again at once.
func (d *acmeDuty) take(ctx context.Context, group *fsm.Group, want *config.ACMECertificate, pair *certs.Pair, failures int) error {
	defer clear(pair.Key)
	var random [32]byte
	rand.Read(random[:])
	sealed, err := pair.SealKey(group.Secret, want.Name, random)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", want.Name, err)
	}
	put := &fsm.CertificatePut{Name: want.Name, Chain: pair.Chain, Key: sealed, Actor: fsm.ActorACME}
	if is := d.state.Operating().Certificate(want.Name); is != nil {
		put.Expect = is.Version
	}
	r, err := d.do(ctx, put)
	switch {
	case err != nil:
		return err
	case r.Code == fsm.CodeConflict: // an operator was faster: what there is by then is looked at anew
		return nil
	case r.Code != fsm.CodeOK:
		return d.failed(ctx, want, failures, fmt.Errorf("the group does not keep it: %w", refusal(r)))
	}
	d.log.Info("a certificate was obtained", "certificate", want.Name)
	if d.state.Operating().ACMEState(want.Name) == nil {
		return nil
	}
	return d.note(ctx, &fsm.ACMENote{Certificate: want.Name})
}
