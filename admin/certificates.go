package admin

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

type certificatesOutput struct {
	wire.ReadHeaders
	Body wire.CertificateList
}

type certificateInput struct {
	wire.ReadParams
	Name string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
}

type certificateOutput struct {
	wire.ReadHeaders
	Body wire.Certificate
}

type addCertificateInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.NewCertificateRequest
}

type rotateCertificateInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.CertificateRequest
}

type changedCertificateOutput struct{ Body wire.Certificate }

type removeCertificateInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerCertificates() {
	refusals := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
	}
	const about = "The private key is sealed before it leaves the node that is asked; no answer, log, snapshot or backup has it in clear."
	register(a, route{
		method: http.MethodGet, path: "/v1/certificates", id: "list-certificates", role: wire.RoleViewer, permission: permit.CertificatesRead,
		summary: "The certificates of the group, without their keys",
	}, a.listCertificates)
	register(a, route{
		method: http.MethodGet, path: "/v1/certificates/{name}", id: "get-certificate", role: wire.RoleViewer, permission: permit.CertificatesRead,
		summary: "One certificate with its chain in PEM, without its key", edit: func(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusNotFound) },
	}, a.getCertificate)
	register(a, route{
		method: http.MethodPost, path: "/v1/certificates", id: "add-certificate", role: wire.RoleOperator, permission: permit.CertificatesWrite, status: http.StatusCreated,
		summary: "Add a certificate, or a bundle of authorities", about: about, edit: refusals,
	}, a.addCertificate)
	register(a, route{
		method: http.MethodPut, path: "/v1/certificates/{name}", id: "rotate-certificate", role: wire.RoleOperator, permission: permit.CertificatesWrite,
		summary: "Put another certificate in the place of one",
		about:   "Every node presents it from then on; no connection is closed. " + about, edit: refusals,
	}, a.rotateCertificate)
	register(a, route{
		method: http.MethodDelete, path: "/v1/certificates/{name}", id: "remove-certificate", role: wire.RoleOperator, permission: permit.CertificatesWrite,
		summary: "Remove a certificate that no listener names", edit: refusals,
	}, a.removeCertificate)
}

func (a *API) listCertificates(ctx context.Context, in *wire.ReadParams) (*certificatesOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &certificatesOutput{ReadHeaders: headers, Body: wire.CertificateList{Certificates: []wire.Certificate{}}}
	o := a.opt.State.Operating()
	for i := range o.Certificates {
		out.Body.Certificates = append(out.Body.Certificates, a.describeCertificate(o, &o.Certificates[i], false))
	}
	for _, name := range awaited(o) {
		out.Body.Certificates = append(out.Body.Certificates, a.describeNamed(o, name, false))
	}
	out.Body.Presented = presented(a.opt.Node.Instances())
	return out, nil
}

func (a *API) getCertificate(ctx context.Context, in *certificateInput) (*certificateOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	o := a.opt.State.Operating()
	if o.Certificate(in.Name) == nil && o.Config.ACMECertificate(in.Name) == nil {
		return nil, noCertificate(in.Name)
	}
	return &certificateOutput{headers, a.describeNamed(o, in.Name, true)}, nil
}

func noCertificate(name string) *wire.Problem {
	return notFoundf("There is no certificate %s; 'holdfast cert list' lists them.", name)
}

// describeCertificate says what is to be known of a certificate; whole: with its PEM.
func (a *API) describeCertificate(o *fsm.Operating, c *fsm.Certificate, whole bool) wire.Certificate {
	out := wire.Certificate{Name: c.Name, Kind: wire.CertificateServer, Changed: c.Changed, Actor: c.Actor, Listeners: []string{}, Certificates: []wire.CertificateInfo{}, ACME: describeACME(o, c.Name)}
	if c.Authorities() {
		out.Kind = wire.CertificateAuthorities
	}
	for i := range o.Config.Listeners {
		if l := &o.Config.Listeners[i]; slices.Contains(l.Certificates, c.Name) || slices.Contains(l.ClientAuthorities(), c.Name) {
			out.Listeners = append(out.Listeners, l.Name)
		}
	}
	for i := range o.Config.Clusters {
		if k := &o.Config.Clusters[i]; k.InstanceTLS != nil && slices.Contains(k.InstanceTLS.Authorities, c.Name) {
			out.Clusters = append(out.Clusters, k.Name)
		}
	}
	out.Authority = o.Config.ACME != nil && slices.Contains(o.Config.ACME.Authorities, c.Name)
	for i, der := range c.Chain {
		info, err := certs.Describe(der)
		if err != nil {
			out.Warnings = append(out.Warnings, fmt.Sprintf("certificate %d cannot be read", i+1))
			continue
		}
		d := wire.CertificateInfo{Subject: info.Subject, Issuer: info.Issuer, Names: info.Names, NotBefore: info.NotBefore, NotAfter: info.NotAfter, Serial: info.Serial, Fingerprint: info.Fingerprint, Key: info.Key}
		if whole {
			d.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		out.Certificates = append(out.Certificates, d)
		if problem := info.Problem(a.clock()); problem != "" && (out.ACME == nil || a.clock().After(info.NotAfter)) {
			out.Warnings = append(out.Warnings, info.Subject+" "+problem)
		}
		if i == 0 && !c.Authorities() {
			for _, w := range info.Warnings() {
				out.Warnings = append(out.Warnings, info.Subject+" "+w)
			}
		}
	}
	return out
}

func (a *API) addCertificate(ctx context.Context, in *addCertificateInput) (*changedCertificateOutput, error) {
	return a.putCertificate(ctx, in.IdempotencyKey, in.Body.Name, &in.Body.CertificateRequest, func(*fsm.Certificate) (uint64, error) { return 0, nil })
}

func (a *API) rotateCertificate(ctx context.Context, in *rotateCertificateInput) (*changedCertificateOutput, error) {
	return a.putCertificate(ctx, in.IdempotencyKey, in.Name, &in.Body, func(is *fsm.Certificate) (uint64, error) {
		if is == nil {
			return 0, noCertificate(in.Name)
		}
		return is.Version, nil
	})
}

// putCertificate adds or rotates; expect gives the version that is replaced.
func (a *API) putCertificate(ctx context.Context, key, name string, req *wire.CertificateRequest, expect func(*fsm.Certificate) (uint64, error)) (*changedCertificateOutput, error) {
	c, err := readCertificate(req)
	if err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	group, before := a.opt.State.Group(), a.opt.State.Operating().Certificate(name)
	if group == nil {
		return nil, ErrNoQuorum // the leader founds the group first
	}
	put := &fsm.CertificatePut{Name: name, Chain: c.Chain, Actor: callOf(ctx).who.actor}
	if put.Expect, err = expect(before); err != nil {
		return nil, err
	}
	put.RequestID = requestID(key, []byte("put-certificate"), []byte(put.Actor), []byte(name), c.Chain[0])
	if c.Key != nil {
		var random [32]byte
		rand.Read(random[:])
		if put.Key, err = c.SealKey(group.Secret, name, random); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", name, err)
		}
		clear(c.Key)
	}
	res, err := a.propose(ctx, put)
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	o := a.opt.State.Operating()
	is := o.Certificate(name)
	if is == nil { // removed meanwhile
		is = &fsm.Certificate{Name: name, Chain: put.Chain, Key: put.Key, Changed: a.opt.State.Now(), Actor: put.Actor}
	}
	out := &changedCertificateOutput{a.describeCertificate(o, is, false)}
	if before != nil {
		out.Body.Warnings = append(out.Body.Warnings, lostNames(before, is)...)
	}
	return out, nil
}

// readCertificate reads the PEM of a request. Key is nil for authorities.
func readCertificate(req *wire.CertificateRequest) (*certs.Pair, error) {
	if req.Kind == wire.CertificateAuthorities {
		if req.Key != "" {
			return nil, invalidRequest("body.key", "authorities have no private key here")
		}
		list, err := certs.ReadAuthorities([]byte(req.Certificate))
		if err != nil {
			return nil, invalidRequest("body.certificate", "%v", err)
		}
		return &certs.Pair{Chain: list}, nil
	}
	p, err := certs.ReadPair([]byte(req.Certificate), []byte(req.Key))
	if err != nil {
		return nil, invalidRequest("body", "%v", err)
	}
	return p, nil
}

// lostNames warns of hosts for which the certificate before was good and the new one is not.
func lostNames(before, now *fsm.Certificate) (list []string) {
	if before.Authorities() || now.Authorities() {
		return nil
	}
	was, err := certs.Describe(before.Chain[0])
	is, err2 := certs.Describe(now.Chain[0])
	if err != nil || err2 != nil {
		return nil
	}
	for _, name := range was.Names {
		if !slices.Contains(is.Names, name) {
			list = append(list, fmt.Sprintf("the certificate before was good for %s, this one is not", name))
		}
	}
	return list
}

func (a *API) removeCertificate(ctx context.Context, in *removeCertificateInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.CertificateDrop{RequestID: requestID(in.IdempotencyKey, []byte("remove-certificate"), []byte(actor), []byte(in.Name)), Name: in.Name, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, noCertificate(in.Name)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}
