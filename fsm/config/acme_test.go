package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

func acmeText(rest string) string {
	return "acme: {acceptTerms: true, certificates: [{name: site, hosts: [Shop.example]}]" + rest + "}"
}

// TestACME: what is to be obtained, written with its defaults.
func TestACME(t *testing.T) {
	c := mustParse(t, acmeText(""))
	want := &ACME{Directory: LetsEncrypt, AcceptTerms: true, Challenges: []string{"http-01", "tls-alpn-01"}, Certificates: []ACMECertificate{{Name: "site", Hosts: []string{"shop.example"}, Key: "ecdsa-p256"}}}
	if !reflect.DeepEqual(c.ACME, want) {
		t.Fatalf("%+v", c.ACME)
	}
	if text := string(c.Canonical()); !strings.Contains(text, `"acme":{"directory":"https://acme-v02.api.letsencrypt.org/directory","acceptTerms":true,"challenges":["http-01","tls-alpn-01"],"certificates":[{"name":"site","hosts":["shop.example"],"key":"ecdsa-p256"}]}`) {
		t.Error(text)
	}
	checkRoundTrip(t, c)
	if c.ACMECertificate("site") == nil || c.ACMECertificate("other") != nil || Empty().ACMECertificate("site") != nil {
		t.Error("the certificate is not found by its name")
	}
	copied := c.Clone()
	copied.ACME.Certificates[0].Hosts[0] = "other"
	if c.ACME.Certificates[0].Hosts[0] != "shop.example" {
		t.Error("a clone shares hosts")
	}
	for _, nothing := range []string{"acme: null", "acme:", "clusters: []"} {
		if c := mustParse(t, nothing); c.ACME != nil || strings.Contains(string(c.Canonical()), "acme") {
			t.Errorf("%s: %+v", nothing, c.ACME)
		}
	}
}

// TestACMEErrors: what cannot be obtained is refused with the reason.
func TestACMEErrors(t *testing.T) {
	cert := func(value string) string {
		return "acme: {acceptTerms: true, certificates: [" + value + "]}"
	}
	var many, hosts []string
	for i := range maxACMECertificates + 1 {
		many = append(many, fmt.Sprintf("{name: c%d, hosts: [a.b]}", i))
		hosts = append(hosts, fmt.Sprintf("h%d.b", i))
	}
	for text, says := range map[string]string{
		"acme: {}": "terms of service - read them, then write acceptTerms: true",
		"acme: {acceptTerms: false, certificates: [{name: a, hosts: [a.b]}]}": "before somebody has accepted",
		"acme: {acceptTerms: true}": "there is no certificate to obtain",
		"acme: [a]":                 "must be a mapping",
		acmeText(", directory: 'http://ca.example/dir'"):              "by https alone",
		acmeText(", directory: ca.example"):                           "is no URL",
		acmeText(", directory: ''"):                                   "is no URL",
		acmeText(", directory: 'https://u:p@ca.example/d'"):           "no user",
		acmeText(", directory: 'https://ca.example/\x7f'"):            "",
		acmeText(", email: nobody"):                                   "is no e-mail address",
		acmeText(", email: 'a@b.c, d@e.f'"):                           "is no e-mail address",
		acmeText(", challenges: []"):                                  "without a challenge",
		acmeText(", challenges: [dns-01]"):                            `"dns-01" is unknown`,
		acmeText(", challenges: [http-01, http-01]"):                  "is there twice",
		acmeText(", authorities: ['']"):                               "has no name",
		acmeText(", externalAccount: 'a b'"):                          "ASCII without spaces",
		acmeText(", externalAccountKey: secret"):                      "externalAccountKey",
		cert("{name: '', hosts: [a.b]}"):                              "the certificate has no name",
		cert("{name: _a, hosts: [a.b]}"):                              "cannot be the name of a certificate",
		cert("{name: " + strings.Repeat("a", 64) + ", hosts: [a.b]}"): "cannot be the name of a certificate",
		cert("{name: a, hosts: [a.b]}, {name: a, hosts: [a.c]}"):      "is there twice",
		cert("{name: a}"):                                             "is for no host",
		cert("{name: a, hosts: ['*.a.b']}"):                           "prove wildcards by DNS alone",
		cert("{name: a, hosts: [10.0.0.1]}"):                          "is no host name",
		cert("{name: a, hosts: ['::1']}"):                             "is no host name",
		cert("{name: a, hosts: ['a_b.c']}"):                           "is no host name",
		cert("{name: a, hosts: ['a b']}"):                             "is no host name",
		cert("{name: a, hosts: ['a/b']}"):                             "is no host name",
		cert("{name: a, hosts: ['a.b:80']}"):                          "is no host name",
		cert("{name: a, hosts: [bücher.example]}"):                    "is no host name",
		cert("{name: a, hosts: [A.b, a.B]}"):                          "is there twice",
		cert("{name: a, hosts: [a.b], key: rsa-1024}"):                `"rsa-1024" is unknown`,
		cert(strings.Join(many, ", ")):                                "at most 100 are obtained",
		cert("{name: a, hosts: [" + strings.Join(hosts, ", ") + "]}"): "at most 100 are taken",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.200s\n\t%v, want %q", text, err, says)
		}
	}
}

// TestEditsOfACME: it comes, changes and goes by edits of the group.
func TestEditsOfACME(t *testing.T) {
	set := func(c *Config, values string) *Config {
		t.Helper()
		next, err := c.Apply([]Edit{{Op: "set", Kind: "group", Values: []byte(values)}})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	c := set(Empty(), `{"acme": {"acceptTerms": true, "certificates": [{"name": "site", "hosts": ["a.b"]}]}}`)
	if changes := Diff(Empty(), c); len(changes) != 1 || changes[0].Field != "acme" || changes[0].From != nil {
		t.Errorf("%+v", changes)
	}
	other := set(c, `{"acme": {"email": "ops@a.b"}}`)
	if changes := Diff(c, other); len(changes) != 1 || changes[0].Field != "acme.email" || other.ACME.Certificates[0].Name != "site" {
		t.Errorf("%+v", changes)
	}
	if gone := set(c, `{"acme": null}`); gone.ACME != nil {
		t.Errorf("%+v", gone.ACME)
	}
}

// TestACMEDocument: the configuration of docs/ACME.md is one.
func TestACMEDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/ACME.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```yaml\n")
	block, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("docs/ACME.md has no block of YAML")
	}
	c := mustParse(t, block)
	if c.ACME.Directory != LetsEncrypt || c.ACMECertificate(c.Listeners[1].Certificates[0]) == nil {
		t.Errorf("%+v", c.ACME)
	}
}
