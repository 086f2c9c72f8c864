package config

import (
	"strings"
	"testing"
)

// TestHTTP3: a listener says so itself, and what does not go with it is refused.
func TestHTTP3(t *testing.T) {
	c := mustParse(t, strings.Replace(secureListener, "certificates", "http3: true, certificates", 1))
	if !c.Listeners[0].HTTP3 || !strings.Contains(string(c.Canonical()), `"http3":true`) {
		t.Error(string(c.Canonical()))
	}
	checkRoundTrip(t, c)
	if c = mustParse(t, secureListener); c.Listeners[0].HTTP3 || strings.Contains(string(c.Canonical()), "http3") {
		t.Error("it is on where nobody has asked for it")
	}
	const tail = `, {name: dns, address: ":8443", protocol: udp, cluster: d}]
clusters: [{name: d, instances: [{name: i, listeners: ["udp://10.0.0.1:53"]}]}]`
	mustParse(t, strings.Replace(secureListener, "]}]", "]}"+tail, 1))
	with := func(l string) string { return "listeners: [{name: webs, address: ':8443', " + l + "}]" }
	for text, says := range map[string]string{
		with("http3: true"): "HTTP/3 is always encrypted",
		with("protocol: https, certificates: [site], http3: yes please"):                                                      "http3",
		with("protocol: https, certificates: [site], trustedProxies: [10.0.0.9], proxyProtocol: accept, http3: true"):         "cannot be introduced by the PROXY protocol",
		strings.Replace(strings.Replace(secureListener, "]}]", "]}"+tail, 1), "certificates", "http3: true, certificates", 1): `listener "dns" wants :8443, which listener "webs" has`,
	} {
		if _, err := Parse("", []byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
