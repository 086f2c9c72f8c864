package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

type renewCertificateInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

type externalAccountInput struct{ Body wire.ExternalAccount }

func (a *API) registerACME() {
	register(a, route{
		method: http.MethodPost, path: "/v1/certificates/{name}/renew", id: "renew-certificate", role: wire.RoleOperator, permission: permit.CertificatesWrite, status: http.StatusAccepted,
		summary: "Have a certificate obtained anew at once",
		about:   "It is for those of the configuration's part acme. What comes of it is told by the certificate, and by the events.",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
		},
	}, a.renewCertificate)
	register(a, route{
		method: http.MethodPut, path: "/v1/acme/account", id: "set-acme-account", role: wire.RoleAdmin, permission: permit.AccessWrite, status: http.StatusNoContent,
		summary: "Give the key of an account that the authority knows by other ways",
		about:   "The configuration names it by acme.externalAccount. The key is sealed before it leaves the node that is asked, and is never shown.",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
		},
	}, a.setExternalAccount)
}

func (a *API) renewCertificate(ctx context.Context, in *renewCertificateInput) (*changedCertificateOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.ACMERenew{RequestID: requestID(in.IdempotencyKey, []byte("renew-certificate"), []byte(actor), []byte(in.Name)), Certificate: in.Name, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, notFoundf("There is no certificate %s in acme.certificates of the configuration: only those can be renewed; 'holdfast cert rotate' brings another one by hand.", in.Name)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	o := a.opt.State.Operating()
	return &changedCertificateOutput{a.describeNamed(o, in.Name, false)}, nil
}

func (a *API) setExternalAccount(ctx context.Context, in *externalAccountInput) (*struct{}, error) {
	if _, err := base64.RawURLEncoding.DecodeString(in.Body.Key); err != nil {
		return nil, invalidRequest("body.key", "this is no key as authorities hand it out: base64url without padding")
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	group := a.opt.State.Group()
	if group == nil {
		return nil, ErrNoQuorum // the leader founds the group first
	}
	var random [32]byte
	rand.Read(random[:])
	key := certs.ExternalAccountKey(in.Body.KeyID)
	sealed, err := certs.SealValue(group.Secret, key, random, []byte(in.Body.Key))
	if err != nil {
		return nil, fmt.Errorf("external account: %w", err)
	}
	res, err := a.propose(ctx, &fsm.ACMEStore{Key: key, Sealed: sealed, Actor: callOf(ctx).who.actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}

// describeNamed is describeCertificate of a name, also of one that is still to be obtained.
func (a *API) describeNamed(o *fsm.Operating, name string, whole bool) wire.Certificate {
	if c := o.Certificate(name); c != nil {
		return a.describeCertificate(o, c, whole)
	}
	return a.describeCertificate(o, &fsm.Certificate{Name: name, Key: []byte{0}}, whole)
}

// awaited are the names of certificates that are still to be obtained, sorted.
func awaited(o *fsm.Operating) (names []string) {
	for _, c := range o.Config.ACMECertificates() {
		if o.Certificate(c.Name) == nil {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// describeACME says how the group obtains a certificate itself; nil: it does not.
func describeACME(o *fsm.Operating, name string) *wire.CertificateACME {
	want := o.Config.ACMECertificate(name)
	if want == nil {
		return nil
	}
	out := &wire.CertificateACME{Directory: o.Config.ACME.Directory, Hosts: want.Hosts, Key: want.Key}
	if c := o.Certificate(name); c != nil && !c.Authorities() {
		if info, err := certs.Describe(c.Chain[0]); err == nil {
			out.RenewAt = info.RenewAt()
		}
	}
	if s := o.ACMEState(name); s != nil {
		out.Failures, out.Error, out.Next, out.Requested = s.Failures, s.Error, s.Next, s.Requested
	}
	return out
}

// certificateProblems says which certificates that listeners present clients refuse, now or soon, and which could not be obtained.
func certificateProblems(o *fsm.Operating, now time.Time) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	for i := range o.Config.Listeners {
		l := &o.Config.Listeners[i]
		for _, name := range l.Certificates {
			c := o.Certificate(name)
			if seen[name] || c == nil || c.Authorities() {
				continue
			}
			seen[name] = true
			info, err := certs.Describe(c.Chain[0])
			if err != nil {
				continue
			}
			itself := o.Config.ACMECertificate(name) != nil
			if p := info.Problem(now); p != "" && (!itself || now.After(info.NotAfter)) { // those that are renewed in time may be short-lived
				advice := fmt.Sprintf("; 'holdfast cert rotate %s' puts another one in its place", name)
				if itself {
					advice = ""
				}
				add("certificate %s of listener %s %s%s", name, l.Name, p, advice)
			}
		}
	}
	for _, want := range o.Config.ACMECertificates() {
		switch s := o.ACMEState(want.Name); {
		case s != nil && s.Failures > 0 && s.Next.After(now):
			add("certificate %s could not be obtained, %s; the next attempt is at %s, or with 'holdfast cert renew %s': %s", want.Name, inARow(s.Failures), s.Next.UTC().Format(time.RFC3339), want.Name, s.Error)
		case s != nil && s.Failures > 0:
			add("certificate %s could not be obtained, %s, and is being tried again: %s", want.Name, inARow(s.Failures), s.Error)
		case o.Certificate(want.Name) == nil:
			add("certificate %s is still to be obtained", want.Name)
		}
	}
	return list
}

// inARow is how often something has failed without a success between.
func inARow(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}
