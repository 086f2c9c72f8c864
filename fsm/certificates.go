package fsm

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// The bounds of certificates. A bundle of authorities is the largest; all together stay small beside the configuration's history.
const (
	maxCertificates     = 1000
	maxCertificateParts = 200
	maxCertificateBytes = 512 << 10 // of one, with its key
	maxCertificatesSize = 16 << 20  // of all
	maxSealedKey        = 16 << 10
)

// Certificate is that of a name, nil for none.
func (o *Operating) Certificate(name string) *Certificate {
	if i, found := findCertificate(o.Certificates, name); found {
		return &o.Certificates[i]
	}
	return nil
}

func findCertificate(list []Certificate, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(c Certificate, name string) int { return cmp.Compare(c.Name, name) })
}

func (c *Certificate) bytes() int {
	n := len(c.Key)
	for _, der := range c.Chain {
		n += len(der)
	}
	return n
}

// problem says why it cannot be kept, or nothing. What is in it is the business of who proposes it.
func (c *Certificate) problem() string {
	var k check
	if k.id("the name of the certificate", c.Name); !plainName(c.Name) {
		k.failf("%q is no name of a certificate: 1 to %d letters, digits, dots, dashes or underscores, the first a letter or a digit", clip(c.Name, maxNodeName), maxNodeName)
	}
	k.name("the actor", c.Actor)
	switch {
	case len(c.Chain) == 0:
		k.failf("there is no certificate")
	case len(c.Chain) > maxCertificateParts:
		k.failf("there are %d certificates, at most %d are kept under one name", len(c.Chain), maxCertificateParts)
	}
	for _, der := range c.Chain {
		if len(der) == 0 {
			k.failf("one of the certificates is empty")
		}
	}
	k.size("the sealed key", len(c.Key), maxSealedKey)
	k.size("the certificate", c.bytes(), maxCertificateBytes)
	return k.message
}

// plainName is the rule for names of nodes; see check.node.
func plainName(s string) bool {
	var k check
	k.node(s)
	return k.message == ""
}

// certificatesSize is that of all of them, in bytes.
func certificatesSize(list []Certificate) (n int) {
	for i := range list {
		n += list[i].bytes()
	}
	return n
}

func (r *replica) certificatePut(index uint64, c *CertificatePut) Result {
	next := Certificate{Name: c.Name, Chain: c.Chain, Key: c.Key, Version: index, Changed: millis(r.now.Load()), Actor: c.Actor}
	k := check{message: next.problem()}
	if res, refused := k.refused(); refused {
		return res
	}
	if len(next.Key) == 0 {
		next.Key = nil // as it comes out of a snapshot
	}
	list := r.operating.Load().Certificates
	i, found := findCertificate(list, c.Name)
	version := uint64(0)
	if found {
		version = list[i].Version
	}
	switch {
	case version != c.Expect && c.Expect == 0:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("there is a certificate %s: rotate it, or choose another name", c.Name)}
	case version != c.Expect && !found:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("there is no certificate %s any more", c.Name)}
	case version != c.Expect:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("certificate %s has been changed meanwhile, by %s", c.Name, list[i].Actor)}
	case found && list[i].Authorities() != next.Authorities():
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("certificate %s is %s, and cannot become %s: add it under another name", c.Name, list[i].what(), next.what())}
	case !found && len(list) >= maxCertificates:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d certificates, the most that a group keeps: remove those that no listener names", len(list))}
	}
	list = slices.Clone(list)
	verb := "added"
	if found {
		list[i], verb = next, "rotated"
		if c.Actor == ActorACME {
			verb = "renewed"
		}
	} else {
		if c.Actor == ActorACME {
			verb = "obtained"
		}
		list = slices.Insert(list, i, next)
	}
	if n := certificatesSize(list); n > maxCertificatesSize {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("all certificates have %d bytes together, at most %d are kept: remove those that no listener names", n, maxCertificatesSize)}
	}
	r.operate(index, func(o *Operating) { o.Certificates = list })
	r.emit(index, Event{Kind: EventCertificate, Actor: c.Actor, Text: fmt.Sprintf("Certificate %s %s%s", c.Name, verb, by(c.Actor))})
	return Result{}
}

func (c *Certificate) what() string {
	if c.Authorities() {
		return "a bundle of authorities"
	}
	return "a certificate of servers"
}

func (r *replica) certificateDrop(index uint64, c *CertificateDrop) Result {
	var k check
	k.name("the name of the certificate", c.Name)
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	if o.Certificate(c.Name) == nil {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("there is no certificate %s", clip(c.Name, maxNodeName))}
	}
	for i := range o.Revision.Config.Listeners {
		if l := &o.Revision.Config.Listeners[i]; slices.Contains(l.Certificates, c.Name) || slices.Contains(l.ClientAuthorities(), c.Name) {
			return Result{Code: CodeConflict, Message: fmt.Sprintf("listener %s names certificate %s: change the listener first", clip(l.Name, maxNameBytes), c.Name)}
		}
	}
	for i := range o.Revision.Config.Clusters {
		if k := &o.Revision.Config.Clusters[i]; slices.Contains(k.InstanceAuthorities(), c.Name) {
			return Result{Code: CodeConflict, Message: fmt.Sprintf("cluster %s names certificate %s: change the cluster first", clip(k.Name, maxNameBytes), c.Name)}
		}
	}
	if a := o.Revision.Config.ACME; a != nil && slices.Contains(a.Authorities, c.Name) {
		return Result{Code: CodeConflict, Message: fmt.Sprintf("acme.authorities names certificate %s: change it first", c.Name)}
	}
	next := without(o.Certificates, func(x *Certificate) bool { return x.Name == c.Name })
	r.operate(index, func(o *Operating) { o.Certificates = next })
	r.emit(index, Event{Kind: EventCertificate, Actor: c.Actor, Text: fmt.Sprintf("Certificate %s removed%s", c.Name, by(c.Actor))})
	return Result{}
}

// NamedProblem says which certificate that a configuration names is not there, or is of the wrong kind, or which file; "" for none. at is the place in the
// configuration, as in listeners[0].certificates[1].
func (o *Operating) NamedProblem(c *config.Config) (at, problem string) {
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if at, problem = o.namedHere(c, fmt.Sprintf("listeners[%d].certificates", i), l.Certificates); problem != "" {
			return at, problem
		}
		if at, problem = o.named(fmt.Sprintf("listeners[%d].tls.clientCertificates.authorities", i), l.ClientAuthorities(), true); problem != "" {
			return at, problem
		}
	}
	for i := range c.Clusters {
		if at, problem = o.named(fmt.Sprintf("clusters[%d].instanceTLS.authorities", i), c.Clusters[i].InstanceAuthorities(), true); problem != "" {
			return at, problem
		}
	}
	if c.ACME != nil {
		if at, problem = o.named("acme.authorities", c.ACME.Authorities, true); problem != "" {
			return at, problem
		}
	}
	for i := range c.ACMECertificates() {
		if is := o.Certificate(c.ACME.Certificates[i].Name); is != nil && is.Authorities() {
			return fmt.Sprintf("acme.certificates[%d].name", i), fmt.Sprintf("certificate %s is %s: choose another name", is.Name, is.what())
		}
	}
	return o.filesProblem(c)
}

// namedHere is NamedProblem of the certificates of a listener. One that the group is to obtain itself need not be there yet: it cannot be obtained before there
// is a listener that answers for it.
func (o *Operating) namedHere(c *config.Config, where string, names []string) (at, problem string) {
	for i, name := range names {
		if o.Certificate(name) == nil && c.ACMECertificate(name) != nil {
			continue
		}
		if _, problem := o.named(where, names[i:i+1], false); problem != "" {
			return fmt.Sprintf("%s[%d]", where, i), problem
		}
	}
	return "", ""
}

// named is NamedProblem of one list of names.
func (o *Operating) named(where string, names []string, authorities bool) (at, problem string) {
	for i, name := range names {
		is := o.Certificate(name)
		at := fmt.Sprintf("%s[%d]", where, i)
		switch {
		case is == nil:
			return at, fmt.Sprintf("there is no certificate %s: add it first, with 'holdfast cert add', or have it obtained (acme.certificates)", clip(name, maxNodeName))
		case is.Authorities() != authorities:
			return at, fmt.Sprintf("certificate %s is %s", name, is.what())
		}
	}
	return "", ""
}

// appendCertificate is the canonical form of a certificate.
func appendCertificate(b []byte, c *Certificate) []byte {
	b = appendBytes(b, c.Name)
	b = appendU32(b, uint32(len(c.Chain)))
	for _, der := range c.Chain {
		b = appendBytes(b, der)
	}
	b = appendBytes(b, c.Key)
	b = appendU64(b, c.Version)
	b = appendTime(b, c.Changed)
	return appendBytes(b, c.Actor)
}

func parseCertificate(b []byte) (Certificate, bool) {
	p := parser{b: b}
	c := Certificate{Name: p.string()}
	for n := p.u32(); n > 0 && !p.bad && len(c.Chain) <= maxCertificateParts; n-- {
		c.Chain = append(c.Chain, p.bytes())
	}
	c.Key, c.Version, c.Changed, c.Actor = p.bytes(), p.u64(), p.time(), p.string()
	return c, p.done() && c.problem() == ""
}

func (r *restorer) certificatesProblem() string {
	list := r.op.Certificates
	if len(list) > maxCertificates || certificatesSize(list) > maxCertificatesSize {
		return "certificates"
	}
	for i := range list {
		c := &list[i]
		if i > 0 && list[i-1].Name >= c.Name || c.Version == 0 || c.Version > r.op.Index || !r.past(c.Changed) {
			return "certificate"
		}
	}
	return ""
}

// restoredCertificates are those of the group as it is, because one that was rotated must not fall back, and of an archive those that the group has no more:
// the configuration that comes back may name them.
func restoredCertificates(present, archived []Certificate, index uint64) []Certificate {
	list := slices.Clone(present)
	for _, c := range archived {
		if i, found := findCertificate(list, c.Name); !found && len(list) < maxCertificates && certificatesSize(list)+c.bytes() <= maxCertificatesSize {
			c.Version = index
			list = slices.Insert(list, i, c)
		}
	}
	return list
}
