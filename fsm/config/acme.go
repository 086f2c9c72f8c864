package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// ACME has the group obtain certificates itself, from an authority that speaks ACME (RFC 8555).
type ACME struct {
	// Directory is the URL of the authority's directory (Let's Encrypt).
	Directory string `json:"directory"`
	// Email is told to the authority, which may warn of what concerns the account there; empty: none.
	Email string `json:"email,omitempty"`
	// AcceptTerms says that somebody has read and accepted the authority's terms of service. Without it nothing can be obtained.
	AcceptTerms bool `json:"acceptTerms"`
	// Challenges are the ways by which the group may show that the names are its own: http-01 and tls-alpn-01 (default: both).
	Challenges []string `json:"challenges"`
	// Authorities are bundles of the group that vouch for the authority's own server; empty: the roots of the system.
	Authorities []string `json:"authorities,omitempty"`
	// ExternalAccount is the id of the key by which the authority knows its customer, for those that want one (RFC 8555 section 7.3.4). The key itself is
	// no part of the configuration.
	ExternalAccount string `json:"externalAccount,omitempty"`
	// Certificates are those that are obtained and renewed.
	Certificates []ACMECertificate `json:"certificates"`
}

// ACMECertificate is one certificate that the group obtains.
type ACMECertificate struct {
	// Name is that of the certificate: listeners name it like any other.
	Name string `json:"name"`
	// Hosts are the DNS names for which it is to be good.
	Hosts []string `json:"hosts"`
	// Key is the kind of its private key: ecdsa-p256 (default), ecdsa-p384, rsa-2048 or rsa-4096.
	Key string `json:"key"`
}

// LetsEncrypt is the directory of the authority that is asked when none is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

var (
	acmeChallenges = []string{"http-01", "tls-alpn-01"}
	acmeKeys       = []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"}
)

// Bounds of what is obtained. Authorities take 100 names in a certificate.
const (
	maxACMECertificates = 100
	maxACMEHosts        = 100
)

// ACMECertificates are those that the group obtains itself.
func (c *Config) ACMECertificates() []ACMECertificate {
	if c.ACME == nil {
		return nil
	}
	return c.ACME.Certificates
}

// ACMECertificate is the one of a name, nil when the group does not obtain it itself.
func (c *Config) ACMECertificate(name string) *ACMECertificate {
	list := c.ACMECertificates()
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// acme gives nil for null, so that an edit can take all of it away.
func (d decoder) acme(dst **ACME) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		a := &ACME{Directory: LetsEncrypt, Challenges: slices.Clone(acmeChallenges), Certificates: []ACMECertificate{}}
		d.object(n, at, []field{
			{"directory", d.text(&a.Directory)},
			{"email", d.text(&a.Email)},
			{"acceptTerms", d.boolean(&a.AcceptTerms)},
			{"challenges", d.instead(&a.Challenges)},
			{"authorities", d.texts(&a.Authorities)},
			{"externalAccount", d.text(&a.ExternalAccount)},
			{"certificates", d.list(func(n *node, at *path) { a.Certificates = append(a.Certificates, d.acmeCertificate(n, at)) })},
		})
		*dst = a
	}
}

func (d decoder) acmeCertificate(n *node, at *path) ACMECertificate {
	c := ACMECertificate{Key: acmeKeys[0], Hosts: []string{}}
	d.object(n, at, []field{{"name", d.text(&c.Name)}, {"hosts", d.instead(&c.Hosts)}, {"key", d.text(&c.Key)}})
	return c
}

// cloneACME is for Clone.
func cloneACME(c *Config) {
	if c.ACME == nil {
		return
	}
	a := *c.ACME
	a.Challenges, a.Authorities, a.Certificates = slices.Clone(a.Challenges), slices.Clone(a.Authorities), slices.Clone(a.Certificates)
	for i := range a.Certificates {
		a.Certificates[i].Hosts = slices.Clone(a.Certificates[i].Hosts)
	}
	c.ACME = &a
}

// normaliseACME gives host names one spelling.
func normaliseACME(c *Config) {
	for _, cert := range c.ACMECertificates() {
		for i, host := range cert.Hosts {
			cert.Hosts[i] = strings.ToLower(host)
		}
	}
}

func validateACME(p *problems, at *path, a *ACME) {
	if a == nil {
		return
	}
	if why := directoryProblem(a.Directory); why != "" {
		p.add(at.child("directory"), "write the https URL that the authority names, as in "+LetsEncrypt, "%s", why)
	}
	if a.Email != "" && !plausibleEmail(a.Email) {
		p.add(at.child("email"), "write one address, as in ops@shop.example", "%q is no e-mail address", clip(a.Email))
	}
	if !a.AcceptTerms {
		p.add(at.child("acceptTerms"), "read them, then write acceptTerms: true", "an authority issues nothing before somebody has accepted its terms of service")
	}
	if len(a.Challenges) == 0 {
		p.add(at.child("challenges"), "write [http-01], [tls-alpn-01] or both", "without a challenge nothing can be obtained")
	}
	for i, c := range a.Challenges {
		p.oneOf(at.child("challenges").item(i), c, acmeChallenges, nil)
		if slices.Index(a.Challenges, c) != i {
			p.add(at.child("challenges").item(i), "remove it", "%q is there twice", clip(c))
		}
	}
	p.nameList(at.child("authorities"), "bundle of authorities", a.Authorities)
	p.label(at.child("externalAccount"), a.ExternalAccount)
	list := at.child("certificates")
	if len(a.Certificates) > maxACMECertificates {
		p.add(list, "put more hosts into one certificate", "%d certificates, at most %d are obtained", len(a.Certificates), maxACMECertificates)
		return
	}
	if len(a.Certificates) == 0 {
		p.add(list, "write certificates: [{name: site, hosts: [shop.example]}], or remove acme", "there is no certificate to obtain")
	}
	names := uniqueNames{p: p, what: "certificate"}
	for i := range a.Certificates {
		validateACMECertificate(p, list.item(i), &names, &a.Certificates[i])
	}
}

// maxCertificateName is the longest name that the group keeps a certificate under.
const maxCertificateName = 63

func validateACMECertificate(p *problems, at *path, names *uniqueNames, c *ACMECertificate) {
	if names.check(at.child("name"), c.Name) && (len(c.Name) > maxCertificateName || c.Name[0] == '_') {
		p.add(at.child("name"), fmt.Sprintf("use at most %d characters, the first a letter or a digit", maxCertificateName), "%q cannot be the name of a certificate", clip(c.Name))
	}
	p.oneOf(at.child("key"), c.Key, acmeKeys, nil)
	hosts := at.child("hosts")
	switch {
	case len(c.Hosts) == 0:
		p.add(hosts, "write hosts: [shop.example]", "the certificate is for no host")
	case len(c.Hosts) > maxACMEHosts:
		p.add(hosts, "use more certificates", "%d hosts, at most %d are taken", len(c.Hosts), maxACMEHosts)
		return
	}
	seen := make(map[string]bool, len(c.Hosts))
	for i, host := range c.Hosts {
		switch at := hosts.item(i); {
		case strings.HasPrefix(host, "*."):
			p.add(at, "name the hosts one by one, or add a certificate from elsewhere with 'holdfast cert add'", "%q: authorities prove wildcards by DNS alone, which Holdfast does not change", clip(host))
		case !provableHost(host):
			p.add(at, "write a host name, as in shop.example", "%q is no host name that an authority can prove", clip(host))
		case seen[host]:
			p.add(at, "remove one of them", "%q is there twice", host)
		}
		seen[host] = true
	}
}

// provableHost is a DNS name of letters, digits and hyphens, no address.
func provableHost(host string) bool {
	if !validServerName(host) || strings.ContainsAny(host, "_:") || host != strings.ToLower(host) {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") != "" // an address ends in digits, no top-level domain does
}

func directoryProblem(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "the directory is no URL"
	case u.Scheme != "https":
		return "the directory is reached by https alone (RFC 8555 section 6.1)"
	case u.User != nil || u.Fragment != "":
		return "the directory's URL has no user and no fragment"
	}
	return ""
}

// plausibleEmail keeps out what is certainly none, or more than one.
func plausibleEmail(s string) bool {
	user, host, ok := strings.Cut(s, "@")
	return ok && user != "" && len(s) <= 254 && provableHost(strings.ToLower(host)) && !strings.ContainsFunc(user, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`,;:<>()[]\"?`, r) })
}
