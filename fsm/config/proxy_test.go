package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestProxyValues(t *testing.T) {
	c := mustParse(t, `
proxy:
  trustedProxies: [10.0.0.0/8, "192.0.2.7", "2001:DB8::/32", "::1"]
  forwarded: {mode: append, read: forwarded, write: both}
  requestId: {header: x-request-ID, trust: all, respond: true}
  limits: {head: 8KiB, target: 2KiB, lines: 50, body: 10MiB}
  timeouts: {connect: 1s, head: 5s, requestBody: 30s, responseBody: 1m, send: 20s, idle: 10s, tunnel: 1h}
  accessLog: {fields: [time, status], sample: 10}
  errorPages:
    - {status: 503, html: "<h1>{status}</h1>", retryAfter: 2m}
    - {status: maintenance, json: '{"state": "maintenance", "id": "{requestId}", "code": {status}}', text: back soon}
listeners:
  - {name: web, address: ":80", trustedProxies: [172.16.0.1], limits: {requestsPerSecond: 1000, connections: 500, perClient: {requestsPerSecond: 10, burst: 20, connections: 5}}}
clusters: [{name: a, modules: [{contextRoot: /, limits: {body: 1GiB, perClient: {requestsPerSecond: 1}}}]}]
`)
	want := Proxy{
		TrustedProxies: []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128"},
		Forwarded:      Forwarded{"append", "forwarded", "both"},
		RequestID:      RequestID{"X-Request-Id", "all", true},
		Limits:         HeadLimits{8 << 10, 2 << 10, 50, 10 << 20},
		Timeouts:       Timeouts{second, 5 * second, 30 * second, 60 * second, 20 * second, 10 * second, hour},
		AccessLog:      AccessLog{"json", []string{"time", "status"}, 10},
		ErrorPages: []ErrorPage{
			{Status: "503", HTML: "<h1>{status}</h1>", RetryAfter: Duration(2 * time.Minute)},
			{Status: "maintenance", JSON: `{"state": "maintenance", "id": "{requestId}", "code": {status}}`, Text: "back soon"},
		},
	}
	if !reflect.DeepEqual(c.Proxy, want) {
		t.Errorf("got  %+v\nwant %+v", c.Proxy, want)
	}
	l := c.Listeners[0]
	if !reflect.DeepEqual(l.TrustedProxies, []string{"172.16.0.1/32"}) || l.Limits != (ListenerLimits{1000, 0, 500, Rates{10, 20, 5}}) {
		t.Errorf("listener: %+v", l)
	}
	if m := c.Clusters[0].Modules[0].Limits; m != (ModuleLimits{0, 0, 0, 1 << 30, Rates{1, 0, 0}}) {
		t.Errorf("module: %+v", m)
	}
	checkRoundTrip(t, c)
}

// What cannot be meant is refused, with the place and what to do.
func TestProxyRefuses(t *testing.T) {
	many := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	var networks []string
	for i := range maxNetworks + 1 {
		networks = append(networks, fmt.Sprintf("10.0.%d.%d", i/256, i%256))
	}
	for values, want := range map[string]string{
		"trustedProxies: [10.0.0.1/8]":                                              "proxy.trustedProxies[0]: \"10.0.0.1/8\" has bits behind its mask - write 10.0.0.0/8",
		"trustedProxies: [proxy.example]":                                           "is no address",
		"trustedProxies: ['10.0.0.0/33']":                                           "is no network",
		"trustedProxies: ['10.0.0/8']":                                              "is no network",
		"trustedProxies: ['fe80::1%eth0']":                                          "is no address",
		"trustedProxies: ['::ffff:10.0.0.1']":                                       "is no address",
		"trustedProxies: ['::ffff:10.0.0.0/104']":                                   "is no network",
		"trustedProxies: ['']":                                                      "is no address",
		"trustedProxies: [10.0.0.0/8, 10.0.0.0/8]":                                  "is there twice",
		"trustedProxies: [192.0.2.7, 192.0.2.7/32]":                                 "is there twice",
		"trustedProxies: 10.0.0.0/8":                                                "must be a list",
		"trustedProxies: [1]":                                                       "must be text",
		"trustedProxies: [" + strings.Join(networks, ",") + "]":                     "at most 1000",
		"forwarded: set":                                                            "must be a mapping",
		"forwarded: {mode: on}":                                                     "proxy.forwarded.mode",
		"forwarded: {read: both}":                                                   "proxy.forwarded.read",
		"forwarded: {write: rfc7239}":                                               "proxy.forwarded.write",
		"forwarded: {trust: all}":                                                   "unknown key",
		"requestId: {header: Cookie}":                                               "has another meaning",
		"requestId: {header: Content-Length}":                                       "has another meaning",
		"requestId: {header: X-Forwarded-For}":                                      "has another meaning",
		"requestId: {header: X-Holdfast-Session}":                                   "has another meaning",
		"requestId: {header: X-Idempotency-Key}":                                    "has another meaning",
		"requestId: {header: X-Client-Cert-Subject}":                                "has another meaning",
		"requestId: {header: x-client_cert_subject}":                                "has another meaning",
		"requestId: {header: X-Client-Cert-Id}":                                     "has another meaning",
		"requestId: {header: X-Forwarded_For}":                                      "has another meaning",
		"requestId: {header: X_Forwarded-Id}":                                       "has another meaning",
		"requestId: {header: X_Holdfast_Session-Id}":                                "has another meaning",
		"requestId: {header: X-Content-Type-Options}":                               "has another meaning",
		"requestId: {header: Client-Cert}":                                          "has another meaning",
		"requestId: {header: Client-Cert-Id}":                                       "has another meaning",
		"requestId: {header: Forwarded}":                                            "has another meaning",
		"requestId: {header: Host}":                                                 "has another meaning",
		"requestId: {header: Connection}":                                           "has another meaning",
		"requestId: {header: Upgrade}":                                              "has another meaning",
		"requestId: {header: traceparent}":                                          "has another meaning",
		"requestId: {header: \"X-A: b\"}":                                           "cannot be the name of a header field",
		"requestId: {header: \"X-A\\r\\nX-B\"}":                                     "cannot be the name of a header field",
		"requestId: {header: X-Ä}":                                                  "cannot be the name of a header field",
		"requestId: {respond: true}":                                                "there is no request id",
		"requestId: {trust: some}":                                                  "proxy.requestId.trust",
		"limits: {head: 0}":                                                         "0B is out of range, must be from 1KiB to 65535B",
		"limits: {head: -1}":                                                        "is not a size",
		"limits: {head: 64KiB}":                                                     "out of range",
		"limits: {target: 0}":                                                       "out of range",
		"limits: {head: 2KiB, target: 4KiB}":                                        "4KiB is out of range, must be from 64B to 2KiB",
		"limits: {lines: 0}":                                                        "out of range",
		"limits: {lines: -5}":                                                       "out of range",
		"limits: {lines: 129}":                                                      "out of range",
		"limits: {lines: 99999999999}":                                              "out of range",
		"limits: {body: -1}":                                                        "is not a size",
		"limits: {body: 2000000GiB}":                                                "out of range",
		"timeouts: {head: 0s}":                                                      "out of range",
		"timeouts: {head: -1s}":                                                     "out of range",
		"timeouts: {idle: 30}":                                                      "a duration needs a unit",
		"timeouts: {connect: 2m}":                                                   "out of range",
		"timeouts: {tunnel: -1ns}":                                                  "out of range",
		"timeouts: {tunnel: 1ms}":                                                   "0s means that there is no bound",
		"timeouts: {send: 25h}":                                                     "0s means that there is no bound",
		"timeouts: {response: 1s}":                                                  "unknown key",
		"accessLog: {format: xml}":                                                  "proxy.accessLog.format",
		"accessLog: {sample: 0}":                                                    "out of range",
		"accessLog: {sample: -1}":                                                   "out of range",
		"accessLog: {fields: [cookie]}":                                             "proxy.accessLog.fields[0]",
		"accessLog: {fields: [time, time]}":                                         "is there twice",
		"accessLog: {fields: " + many(65, "time") + "}":                             "at most 64",
		"accessLog: {format: combined, fields: [time]}":                             "the fields of format combined are fixed",
		"errorPages: [{html: x}]":                                                   "proxy.errorPages[0].status: is missing",
		"errorPages: [{status: 503}]":                                               "the page has no content",
		"errorPages: [{status: 200, html: x}]":                                      "200 is no error",
		"errorPages: [{status: '300-503', html: x}]":                                "300 is no error",
		"errorPages: [{status: '504-502', html: x}]":                                "runs backwards",
		"errorPages: [{status: 5xx, html: x}]":                                      "is not a status code",
		"errorPages: [{status: 5030, html: x}]":                                     "must be text",
		"errorPages: [{status: 503, json: '{'}]":                                    "is no JSON",
		"errorPages: [{status: 503, json: '{\"a\": {message}}'}]":                   "is no JSON",
		"errorPages: [{status: 503, html: \"a\\x00b\"}]":                            "U+0000 at byte 1",
		"errorPages: [{status: 503, html: \"\\u2028\"}]":                            "U+2028",
		"errorPages: [{status: 503, html: x, retryAfter: -1s}]":                     "out of range",
		"errorPages: [{status: 503, html: x, url: 'http://h/'}]":                    "unknown key",
		"errorPages: [{status: 503, html: " + strings.Repeat("x", maxPage+1) + "}]": "at most 65536 are taken",
		"errorPages: " + many(5, "{status: 503, html: "+strings.Repeat("x", maxPage)+"}"): "the pages have 327680 bytes",
		"errorPages: " + many(33, "{status: 503, html: x}"):                               "at most 32",
		"errorPages: {status: 503}":                                                       "must be a list",
		"errorPages: [{status: 503, html: [a]}]":                                          "must be text",
	} {
		refused(t, "proxy: {"+values+"}", want)
	}
	for values, want := range map[string]string{
		"limits: {requestsPerSecond: -1}":          "listeners[0].limits.requestsPerSecond: -1 is out of range",
		"limits: {requestsPerSecond: 1000001}":     "out of range",
		"limits: {requestsPerSecond: 0.5}":         "is not a whole number",
		"limits: {burst: 5}":                       "a burst without a rate bounds nothing",
		"limits: {perClient: {burst: 5}}":          "listeners[0].limits.perClient.burst",
		"limits: {perClient: {connections: -1}}":   "out of range",
		"limits: {perClient: {perClient: {}}}":     "unknown key",
		"limits: {body: 1MiB}":                     "unknown key",
		"trustedProxies: [0.0.0.0/1, 300.0.0.0/8]": "listeners[0].trustedProxies[1]",
	} {
		refused(t, `listeners: [{name: w, address: ":80", `+values+"}]", want)
	}
	for values, want := range map[string]string{
		"limits: {body: -1}":                           "is not a size",
		"limits: {connections: -1}":                    "clusters[0].modules[0].limits.connections: -1 is out of range",
		"limits: {perClient: {requestsPerSecond: -9}}": "out of range",
	} {
		refused(t, "clusters: [{name: a, modules: [{contextRoot: /, "+values+"}]}]", want)
	}
	refused(t, "proxy: {requestId: {header: x-session-id}}\nclusters: [{name: a, affinity: {type: header, name: X-Session-ID}}]", `cluster "a" knows its sessions by header field X-Session-Id`)
}

func refused(t *testing.T, text, want string) {
	t.Helper()
	_, err := Parse("", []byte(text))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%.80s: %v, want %q", text, err, want)
	}
}

func TestTrustingEverybodyIsWarnedOf(t *testing.T) {
	c := mustParse(t, `
proxy: {trustedProxies: [0.0.0.0/0]}
listeners: [{name: w, address: ":80", trustedProxies: ["::/0", 10.0.0.0/8]}]
`)
	all := strings.Join(c.Warnings(), "\n")
	for _, want := range []string{"trustedProxies of the group has 0.0.0.0/0", `trustedProxies of listener "w" has ::/0`} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %s", want, all)
		}
	}
	if strings.Contains(all, "10.0.0.0/8") {
		t.Error(all)
	}
}

// TestProxiesThatNameClientsAreWarnedOf, only where some instance can be told of certificates by another way.
func TestProxiesThatNameClientsAreWarnedOf(t *testing.T) {
	const asks, silent = "mode: require, authorities: [a]", `mode: "off"`
	for _, tc := range []struct {
		group, own, mode string
		want             bool
	}{{"[]", "[]", asks, false}, {"[10.0.0.0/8]", "[]", asks, true}, {"[]", "[10.0.0.0/8]", asks, true}, {"[10.0.0.0/8]", "[10.0.0.1]", silent, false}} {
		c := mustParse(t, fmt.Sprintf(`
proxy: {trustedProxies: %s}
listeners:
  - {name: web, address: ":80", trustedProxies: %s}
  - {name: webs, address: ":443", protocol: https, certificates: [site], tls: {clientCertificates: {%s}}}
`, tc.group, tc.own, tc.mode))
		all := strings.Join(c.Warnings(), "\n")
		if got := strings.Contains(all, `since listener "webs" asks for certificates`) && strings.Contains(all, `"web"`); got != tc.want {
			t.Errorf("%+v: %s", tc, all)
		}
	}
}

// One value of the group's settings is changed and told without the others.
func TestProxyIsEditedAndCompared(t *testing.T) {
	before := mustParse(t, "proxy: {trustedProxies: [10.0.0.0/8], timeouts: {head: 5s}}\nclusters: []")
	after, err := before.Apply([]Edit{{Op: "set", Kind: "group", Values: []byte(`{"proxy": {"timeouts": {"idle": "5s"}, "errorPages": [{"status": "503", "text": "x"}]}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if p := after.Proxy; p.Timeouts.Head != 5*second || p.Timeouts.Idle != 5*second || len(p.TrustedProxies) != 1 || len(p.ErrorPages) != 1 {
		t.Errorf("got %+v", p)
	}
	var fields []string
	for _, ch := range Diff(before, after) {
		fields = append(fields, ch.Kind+" "+ch.Field)
	}
	if got := strings.Join(fields, ", "); got != "group proxy.timeouts.idle, group proxy.errorPages" {
		t.Errorf("differences: %s", got)
	}
	reset, err := after.Apply([]Edit{{Op: "set", Kind: "group", Values: []byte(`{"proxy": null}`)}})
	if err != nil || !reflect.DeepEqual(reset.Proxy, defaultProxy()) {
		t.Errorf("reset: %+v %v", reset, err)
	}
	if _, err := before.Apply([]Edit{{Op: "set", Kind: "group", Values: []byte(`{"proxy": {"timeouts": {"idle": "5"}}}`)}}); err == nil || !strings.Contains(err.Error(), "edits[0].values.proxy.timeouts.idle") {
		t.Errorf("got %v", err)
	}
}
