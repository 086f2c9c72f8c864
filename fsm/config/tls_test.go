package config

import (
	"reflect"
	"strings"
	"testing"
)

const secureListener = `listeners: [{name: webs, address: ":8443", protocol: https, certificates: [site]}]`

// TestSecureListener: UCD-09, UCD-21. A listener of protocol https names certificates and has the settings of TLS, which are written with their defaults.
func TestSecureListener(t *testing.T) {
	c := mustParse(t, secureListener)
	l := &c.Listeners[0]
	if want := DefaultTLS(); l.TLS == nil || !reflect.DeepEqual(*l.TLS, want) {
		t.Fatalf("%+v", l.TLS)
	}
	if text := string(c.Canonical()); !strings.Contains(text, `"tls":{"minVersion":"1.2","handshakeTimeout":"10s","handshakes":1000,"clientCertificates":{"mode":"off"},"hsts":{"maxAge":"0s","includeSubDomains":false,"preload":false}}`) {
		t.Error(text)
	}
	checkRoundTrip(t, c)
	c = mustParse(t, `listeners: [{name: webs, address: ":8443", protocol: https, certificates: [a, b], tls: {minVersion: 1.3, clientCertificates: {mode: require, authorities: [ca]}, hsts: {maxAge: 8760h, includeSubDomains: true, preload: true}}}]`)
	if x := c.Listeners[0].TLS; x.MinVersion != "1.3" || x.HandshakeTimeout != 10*second || !x.HSTS.Preload || c.Listeners[0].ClientAuthorities()[0] != "ca" {
		t.Fatalf("%+v", x)
	}
	checkRoundTrip(t, c)
	c = mustParse(t, `listeners: [{name: web, address: ":80", httpsRedirect: {}}]`)
	if x := c.Listeners[0].HTTPSRedirect; x == nil || *x != (HTTPSRedirect{Port: 443, Status: 308}) {
		t.Fatalf("%+v", x)
	}
	checkRoundTrip(t, c)
}

// TestSecureListenerErrors: what does not go together is refused, with what to do.
func TestSecureListenerErrors(t *testing.T) {
	https := func(rest string) string {
		return `listeners: [{name: webs, address: ":8443", protocol: https, certificates: [site], ` + rest + `}]`
	}
	http := func(rest string) string { return `listeners: [{name: web, address: ":80", ` + rest + `}]` }
	for text, says := range map[string]string{
		`listeners: [{name: webs, address: ":8443", protocol: https}]`:                             "needs a certificate - write certificates: [NAME]",
		http("certificates: [site]"):                                                               "only a listener of protocol https has certificates",
		http("tls: {}"):                                                                            "only a listener of protocol https has settings of TLS",
		https("httpsRedirect: {}"):                                                                 "only a listener of protocol http leads to https",
		https("tls: {minVersion: '1.1'}"):                                                          `"1.1" is unknown`,
		https("tls: {minVersion: 1.4}"):                                                            `"1.4" is unknown`,
		https("tls: {handshakeTimeout: 0s}"):                                                       "out of range",
		https("tls: {handshakes: 0}"):                                                              "out of range",
		https("tls: {clientCertificates: {mode: require}}"):                                        "nobody vouches for clients",
		https("tls: {clientCertificates: {authorities: [ca]}}"):                                    "nobody is asked for a certificate",
		https("tls: {clientCertificates: {mode: on, authorities: [ca]}}"):                          "is unknown",
		https("tls: {clientCertificates: {mode: require, authorities: ['']}}"):                     "the bundle of authorities has no name",
		https("tls: {hsts: {includeSubDomains: true}}"):                                            "without it nothing is said",
		https("tls: {hsts: {maxAge: 1h, preload: true}}"):                                          "a year or more",
		https("tls: {hsts: {maxAge: 1500ms}}"):                                                     "parts of a second",
		https("tls: {ciphers: []}"):                                                                "ciphers",
		http("httpsRedirect: {port: 0}"):                                                           "out of range",
		http("httpsRedirect: {status: 200}"):                                                       "200 is no redirect",
		`listeners: [{name: webs, address: ":8443", protocol: https, certificates: [site, site]}]`: `"site" is there twice`,
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n\t%v, want %q", text, err, says)
		}
	}
}

// TestEditsOfSecureListeners: a listener becomes one of https and back by edits, without a word about settings that nobody has made.
func TestEditsOfSecureListeners(t *testing.T) {
	c := mustParse(t, `listeners: [{name: web, address: ":80"}]`)
	set := func(c *Config, values string) (*Config, error) {
		return c.Apply([]Edit{{Op: "set", Kind: "listener", Name: "web", Values: []byte(values)}})
	}
	s, err := set(c, `{"protocol": "https", "certificates": ["site"]}`)
	if err != nil || s.Listeners[0].TLS == nil {
		t.Fatalf("%v", err)
	}
	changes := Diff(c, s)
	if len(changes) != 3 {
		t.Errorf("%+v", changes)
	}
	strict, err := set(s, `{"tls": {"minVersion": "1.3"}}`)
	if err != nil || strict.Listeners[0].TLS.MinVersion != "1.3" || s.Listeners[0].TLS.MinVersion != "1.2" {
		t.Fatalf("%v", err)
	}
	if changes := Diff(s, strict); len(changes) != 1 || changes[0].Field != "tls.minVersion" {
		t.Errorf("%+v", changes)
	}
	back, err := set(s, `{"protocol": "http", "certificates": []}`)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("%v: %s", err, back.Canonical())
	}
	if _, err := set(strict, `{"protocol": "http", "certificates": []}`); err == nil || !strings.Contains(err.Error(), "settings of TLS") {
		t.Errorf("settings that somebody has made: %v", err)
	}
	loaded, err := Load([]byte(`{"listeners":[{"name":"webs","address":":1","protocol":"https","certificates":["site"],"unknown":1}]}`))
	if err != nil || loaded.Listeners[0].TLS == nil {
		t.Errorf("%v", err)
	}
}

// TestInstanceTLS: how instances are verified, and what cannot be.
func TestInstanceTLS(t *testing.T) {
	with := func(value string) string { return "clusters: [{name: a, instanceTLS: " + value + "}]" }
	c := mustParse(t, with("{authorities: [ca], serverName: shop.example}"))
	if x := c.Clusters[0].InstanceTLS; x == nil || x.ServerName != "shop.example" || c.Clusters[0].InstanceAuthorities()[0] != "ca" {
		t.Fatalf("%+v", x)
	}
	checkRoundTrip(t, c)
	for _, nothing := range []string{"{}", "null", "{authorities: [], serverName: ''}"} {
		if c := mustParse(t, with(nothing)); c.Clusters[0].InstanceTLS != nil {
			t.Errorf("%s: %+v", nothing, c.Clusters[0].InstanceTLS)
		}
	}
	for _, name := range []string{"a.b-c.example", "10.0.0.1", "'::1'", "a_b", "localhost"} {
		mustParse(t, with("{serverName: "+name+"}"))
	}
	for value, says := range map[string]string{
		"{serverName: 'a b'}": "is no name that a certificate can have", "{serverName: '*.example'}": "is no name", "{serverName: 'a..b'}": "is no name", "{serverName: -a}": "is no name",
		"{serverName: 'fe80::1%eth0'}": "is no name", "{serverName: 'h:443'}": "is no name", "{serverName: " + strings.Repeat("a", 64) + "}": "is no name", "{authorities: [ca, ca]}": "is there twice", "{insecure: true}": "insecure",
	} {
		if _, err := Parse("f", []byte(with(value))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", value, err, says)
		}
	}
	copied := c.Clone()
	copied.Clusters[0].InstanceTLS.Authorities[0] = "other"
	if c.Clusters[0].InstanceTLS.Authorities[0] != "ca" {
		t.Error("a clone shares authorities")
	}
}
