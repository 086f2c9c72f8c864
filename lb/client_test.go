package lb

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// trusting gives the edge of a listener that believes the networks.
func trusting(read string, networks ...string) *edge {
	p := config.Empty().Proxy
	p.TrustedProxies, p.Forwarded.Read = networks, read
	return newEdge(newSettings(&p), &config.Listener{Name: "web"}, nil)
}

func via(c clientInfo) string {
	var list []string
	for _, a := range c.via {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

// Nobody but a trusted proxy is believed, and of what one says only as much as trusted ones have vouched for.
func TestClientBehindProxies(t *testing.T) {
	e := trusting("x-forwarded", "10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")
	for _, tc := range []struct {
		remote   string
		xff      []string
		want     string
		wantVia  string
		believed bool
	}{
		{"203.0.113.9:1", []string{"1.2.3.4"}, "203.0.113.9", "", false},                              // nobody vouches for it
		{"10.0.0.1:1", nil, "10.0.0.1", "", true},                                                     // says nothing
		{"10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4", "", true},                                      //
		{"10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4", "", true},                             // the client made one up
		{"10.0.0.1:1", []string{"10.9.9.9, 1.2.3.4"}, "1.2.3.4", "", true},                            // even one that would be trusted
		{"10.0.0.1:1", []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4", "", true},                           // in a line of its own
		{"10.0.0.1:1", []string{"1.2.3.4, 10.0.0.3, 10.0.0.2"}, "1.2.3.4", "10.0.0.3 10.0.0.2", true}, //
		{"10.0.0.1:1", []string{"1.2.3.4", "10.0.0.3", "10.0.0.2"}, "1.2.3.4", "10.0.0.3 10.0.0.2", true},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3", "10.0.0.2", true},      // all are ours
		{"10.0.0.1:1", []string{"1.2.3.4, unknown, 10.0.0.2"}, "10.0.0.2", "", true},      // it ends where nothing is known
		{"10.0.0.1:1", []string{"1.2.3.4,"}, "10.0.0.1", "", true},                        // an empty one, too
		{"10.0.0.1:1", []string{""}, "10.0.0.1", "", true},                                //
		{"10.0.0.1:1", []string{"1.2.3.4:5678"}, "1.2.3.4", "", true},                     // with a port
		{"10.0.0.1:1", []string{"[2001:4860::1]:443"}, "2001:4860::1", "", true},          //
		{"10.0.0.1:1", []string{"2001:4860::1"}, "2001:4860::1", "", true},                //
		{"10.0.0.1:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4", "", true},                   // one spelling
		{"10.0.0.1:1", []string{"1.2.3.4, ::ffff:10.0.0.2"}, "1.2.3.4", "10.0.0.2", true}, //
		{"[2001:db8::1]:1", []string{"1.2.3.4"}, "1.2.3.4", "", true},                     //
		{"[2001:db9::1]:1", []string{"1.2.3.4"}, "2001:db9::1", "", false},                //
		{"[::ffff:192.0.2.7]:1", []string{"1.2.3.4"}, "1.2.3.4", "", true},                //
		{"[fe80::1%eth0]:1", []string{"1.2.3.4"}, "fe80::1", "", false},                   //
		{"10.0.0.1:1", []string{"fe80::1%eth0"}, "10.0.0.1", "", true},                    //
		{"10.0.0.1:1", []string{"1.2.3.4:_hidden"}, "1.2.3.4", "", true},                  //
		{"10.0.0.1:1", []string{"1.2.3.4:"}, "10.0.0.1", "", true},                        //
		{"10.0.0.1:1", []string{"1.2.3.4:99999"}, "10.0.0.1", "", true},                   //
		{"10.0.0.1:1", []string{"[1.2.3.4]:80"}, "10.0.0.1", "", true},                    //
		{"10.0.0.1:1", []string{"１.2.3.4"}, "10.0.0.1", "", true},                         //
		{"10.0.0.1:1", []string{"01.2.3.4"}, "10.0.0.1", "", true},                        // octal to some
		{"10.0.0.1:1", []string{"1.2.3"}, "10.0.0.1", "", true},                           //
		{"10.0.0.1:1", []string{"\"1.2.3.4\""}, "10.0.0.1", "", true},                     //
		{"10.0.0.1:1", []string{"1.2.3.4 5.6.7.8"}, "10.0.0.1", "", true},                 //
		{"10.0.0.1:1", []string{strings.Repeat("10.0.0.2,", 10_000) + "10.0.0.2"}, "10.0.0.2", strings.Repeat("10.0.0.2 ", maxHops-2) + "10.0.0.2", true},
		{"nonsense", []string{"1.2.3.4"}, "nonsense", "", false},
	} {
		c := e.identify(tc.remote, false, "h", http.Header{"X-Forwarded-For": tc.xff})
		if c.name != tc.want || via(c) != tc.wantVia || c.trusted != tc.believed {
			t.Errorf("%s %.80q: %s via %.80q, trusted %v; want %s via %.80q", tc.remote, tc.xff, c.name, via(c), c.trusted, tc.want, tc.wantVia)
		}
	}
}

// Forwarded counts only where trusted proxies are said to set it, and not at all when any of it is not well formed.
func TestClientByForwarded(t *testing.T) {
	e := trusting("forwarded", "10.0.0.0/8")
	const own = "10.0.0.1 http h"
	for _, tc := range []struct{ lines, want string }{
		{`for=1.2.3.4`, "1.2.3.4 http h"},
		{`For="1.2.3.4:80";Proto=HTTPS;Host=www.example.com;by=_lb1`, "1.2.3.4 https www.example.com"},
		{`for="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17 http h"},
		{`for="[2001:db8:cafe::17]:_x"; proto=https`, "2001:db8:cafe::17 https h"},
		{`for=6.6.6.6;proto=https, for=1.2.3.4`, "1.2.3.4 http h"},
		{"for=6.6.6.6|for=1.2.3.4;host=a", "1.2.3.4 http a"},
		{`for=1.2.3.4;proto=https, for=10.0.0.2;proto=http`, "1.2.3.4 https h"}, // as the outer proxy says
		{`for=unknown;proto=https`, "10.0.0.1 https h"},
		{`for=_gazonk;proto=https`, "10.0.0.1 https h"},
		{`for=unknown;proto=https, for=10.0.0.2`, "10.0.0.2 https h"},
		{`proto=https`, "10.0.0.1 https h"},
		{`for=1.2.3.4;;proto=https;`, "1.2.3.4 https h"},
		{`, ,for=1.2.3.4,`, "1.2.3.4 http h"},
		{`for=1.2.3.4;ext="a,b;c=\"d\""`, "1.2.3.4 http h"},
		{`for="1.2.3.4, for=6.6.6.6"`, own},  // a comma inside of quotes
		{`for="\1.2.3.4"`, "1.2.3.4 http h"}, // an escape of nothing
		{`for="1.2.3.4`, own},                // never closed
		{`for="1.2.3.4\`, own},               //
		{`for=1.2.3.4;for=6.6.6.6`, own},     // twice
		{`for=1.2.3.4;FOR=6.6.6.6`, own},     //
		{`for = 1.2.3.4`, own},               //
		{`for=2001:db8::1`, own},             // needs quotes and brackets
		{`for="2001:db8::1"`, own},           //
		{`for="::ffff:1.2.3.4"`, own},        //
		{`for=[2001:db8::1]`, own},           //
		{`for=`, own},                        //
		{`for=""`, own},                      //
		{`for`, own},                         //
		{`=1.2.3.4`, own},                    //
		{`for=1.2.3.4 proto=https`, own},     //
		{`for=1.2.3.4;proto="ht tp"`, own},   //
		{`for=1.2.3.4;proto=1x`, own},        //
		{`for=1.2.3.4;proto=javascript`, "1.2.3.4 http h"},
		{`for=1.2.3.4;host="evil/../x"`, "1.2.3.4 http h"}, // no host
		{"for=1.2.3.4;host=\"a\r\nX: y\"", own},
		{`for="1.2.3.4:"`, own},
		{`for="1.2.3.4:123456"`, own},
		{`for="1.2.3.4:_"`, own},
		{`for=ünknown`, own},
		{strings.Repeat("for=10.0.0.2,", 255) + "for=10.0.0.2", "10.0.0.2 http h"},
		{strings.Repeat("for=10.0.0.2,", 256) + "for=10.0.0.2", own}, // made up, or a loop
		{"for=1.2.3.4;" + strings.Repeat("a", 300) + "=1;b=2;c=3", own},
		{``, own},
	} {
		h := http.Header{"Forwarded": strings.Split(tc.lines, "|"), "X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}}
		c := e.identify("10.0.0.1:1", false, "h", h)
		if got := c.name + " " + c.scheme + " " + c.host; got != tc.want {
			t.Errorf("%.60q: %s, want %s", tc.lines, got, tc.want)
		}
	}
	if c := trusting("x-forwarded", "10.0.0.0/8").identify("10.0.0.1:1", false, "h", http.Header{"Forwarded": {"for=1.2.3.4;proto=https;host=evil"}}); c.name != "10.0.0.1" || c.scheme != "http" || c.host != "h" {
		t.Errorf("a client's Forwarded came through a proxy that does not set it: %+v", c)
	}
}

func TestProtoAndHostOfTrustedProxies(t *testing.T) {
	e := trusting("x-forwarded", "10.0.0.0/8")
	for _, tc := range []struct{ remote, proto, host, want string }{
		{"10.0.0.1:1", "https", "www.example.com", "https www.example.com"},
		{"10.0.0.1:1", "HTTPS", "[2001:db8::1]:8443", "https [2001:db8::1]:8443"},
		{"10.0.0.1:1", "https, http", "a, b", "http b"},
		{"10.0.0.1:1", "wss", "a/b", "http h"},
		{"10.0.0.1:1", "", "", "http h"},
		{"10.0.0.1:1", "https,", "a b", "http h"},
		{"10.0.0.1:1", "", "user@a", "http h"},
		{"10.0.0.1:1", "", strings.Repeat("a", 300), "http h"},
		{"203.0.113.9:1", "https", "evil", "http h"},
	} {
		c := e.identify(tc.remote, false, "h", http.Header{"X-Forwarded-Proto": {tc.proto}, "X-Forwarded-Host": {tc.host}})
		if got := c.scheme + " " + c.host; got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for=1.2.3.4`, `for="[::1]:80";proto=https, by=_a;for=unknown`, `for="a\"b", ,;=,`, "for=1.2.3.4;host=\"a:80\"", "\x00", `for="`} {
		f.Add(s, "1.2.3.4, 10.0.0.2")
	}
	believe := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, forwarded, list string) {
		for _, read := range []string{"forwarded", "x-forwarded"} {
			e := trusting(read, "10.0.0.0/8")
			h := http.Header{"Forwarded": {forwarded}, "X-Forwarded-For": {list}, "X-Forwarded-Host": {list}}
			c := e.identify("10.0.0.1:1", false, "h", h)
			for _, a := range c.via {
				if !believe.Contains(a) {
					t.Fatalf("%q %q: went through %s, which nobody trusts", forwarded, list, a)
				}
			}
			if c.name != c.addr.String() || c.addr.Is4In6() || c.addr.Zone() != "" {
				t.Fatalf("client %q", c.name)
			}
			// What an instance gets is well formed, and says the same to whoever trusts the same proxies.
			said := c.forwarded(forwardedAppend)
			again := trusting("forwarded", "10.0.0.0/8").identify("10.0.0.1:1", false, "h", http.Header{"Forwarded": {strings.TrimSuffix(said, ", for=10.0.0.1")}})
			if again.name != c.name || again.scheme != c.scheme || again.host != c.host {
				t.Fatalf("%q %q: %q is read as %+v, it was %+v", forwarded, list, said, again, c)
			}
			if strings.ContainsAny(said+c.chain(), "\r\n\x00") {
				t.Fatalf("%q", said)
			}
		}
	})
}
