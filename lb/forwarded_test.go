package lb

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// What an instance is told about the client, by mode and fields.
func TestInstanceIsToldOfTheClient(t *testing.T) {
	r, a, cc := limitedRig(t, nil, func(c *config.Config) {})
	lies := []string{"X-Forwarded-For: 1.2.3.4, 127.0.0.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com", "X-Forwarded-Port: 1", "Forwarded: for=6.6.6.6;host=evil",
		"X-Forwarded-Prefix: /evil", "x-forwarded-client-cert: Hash=1", "X_Forwarded_Ssl: on", "X-Holdfast-Anything: 1"}
	for _, tc := range []struct {
		trusted, mode, read, write string
		want                       string // X-Forwarded-For | -Proto | -Host | Forwarded
	}{
		{"", "set", "x-forwarded", "x-forwarded", "127.0.0.1|http|shop|"},
		{"", "append", "x-forwarded", "both", `127.0.0.1|http|shop|for=127.0.0.1;host="shop";proto=http`},
		{"127.0.0.0/8", "set", "x-forwarded", "x-forwarded", "1.2.3.4|https|www.example.com|"},
		{"127.0.0.0/8", "set", "x-forwarded", "forwarded", "|||for=1.2.3.4;host=www.example.com;proto=https"},
		{"127.0.0.0/8", "append", "x-forwarded", "both", "1.2.3.4, 127.0.0.9, 127.0.0.1|https|www.example.com|for=1.2.3.4;host=www.example.com;proto=https, for=127.0.0.9, for=127.0.0.1"},
		{"127.0.0.1", "append", "x-forwarded", "x-forwarded", "127.0.0.9, 127.0.0.1|https|www.example.com|"},
		{"127.0.0.1", "set", "forwarded", "both", "6.6.6.6|http|evil|for=6.6.6.6;host=evil;proto=http"},
		{"127.0.0.1", "off", "x-forwarded", "both", "|||"},
	} {
		cc = cc.Clone()
		cc.Listeners[0].TrustedProxies = nil
		if tc.trusted != "" {
			cc.Listeners[0].TrustedProxies = []string{tc.trusted}
		}
		cc.Proxy.Forwarded = config.Forwarded{Mode: tc.mode, Read: tc.read, Write: tc.write}
		r.apply(cc)
		send(t, r, "/", lies...)
		h := a.header()
		got := strings.Join([]string{strings.Join(h["X-Forwarded-For"], "+"), strings.Join(h["X-Forwarded-Proto"], "+"), strings.Join(h["X-Forwarded-Host"], "+"), strings.Join(h["Forwarded"], "+")}, "|")
		if got = strings.ReplaceAll(got, r.addr(), "shop"); got != tc.want || h.Get("X-Forwarded-Port") != "" {
			t.Errorf("%+v: %s", tc, got)
		}
		believed := tc.trusted != "" && tc.read == "x-forwarded" && tc.mode != "off"
		for name, passes := range map[string]bool{"X-Forwarded-Prefix": believed, "X-Forwarded-Client-Cert": believed, "X_forwarded_ssl": false, "X-Holdfast-Anything": false} {
			if (h.Get(name) != "") != passes {
				t.Errorf("%+v: %s: %q", tc, name, h.Get(name))
			}
		}
	}
}

// A proxy that ends TLS in front of Holdfast: redirects and cookies follow what the client sees, also its host.
func TestClientsSchemeBehindAProxy(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := conf(of(a)...)
	cc.Proxy.TrustedProxies = []string{"127.0.0.1/32"}
	r := newRig(t, cc)
	if got := send(t, r, "/", "X-Forwarded-Proto: https"); len(got.Cookies()) != 1 || !got.Cookies()[0].Secure {
		t.Errorf("%v", got.Header)
	}
	if got := send(t, r, "/"); len(got.Cookies()) != 1 || got.Cookies()[0].Secure {
		t.Errorf("%v", got.Header)
	}
}

func TestSourceAffinityBehindAProxy(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	cc.Clusters[0].Affinity = config.Affinity{Type: "source"}
	cc.Proxy.TrustedProxies = []string{"127.0.0.1/32"}
	r := newRig(t, cc)
	for _, client := range []string{"1.2.3.4", "1.2.3.5", "1.2.3.6", "1.2.3.7"} {
		first := send(t, r, "/", "X-Forwarded-For: "+client).body
		for range 3 {
			if got := send(t, r, "/", "X-Forwarded-For: 9.9.9.9, "+client).body; got != first {
				t.Errorf("%s was on %s, then on %s", client, first, got)
			}
		}
	}
	if n := len(r.g.sessions()); n != 4 {
		t.Errorf("%d sessions of 4 clients", n)
	}
}
