package lb

import (
	"net/http"
	"strings"
	"testing"
)

// TestInstancesAreNotShown: redirects and cookies of an application that names its own address lead to the address that the client knows; others stay as they are.
func TestInstancesAreNotShown(t *testing.T) { // UCD-08
	var own, other string
	answer := map[string]string{}
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		for name, value := range answer {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusFound)
	})
	b := newApp(t, "i2", nil)
	cc := conf(inst("i1", a.URL), inst("i2", b.URL))
	cc.Clusters[0].Instances[1].Weight = 0
	r := newRig(t, cc)
	own, other = a.URL, b.URL
	host := strings.TrimPrefix(own, "http://")
	for _, tc := range []struct{ name, client, value, want string }{
		{"Location", "www.example.com", own + "/login?next=%2Fx#top", "http://www.example.com/login?next=%2Fx#top"},
		{"Location", "www.example.com:8080", own + "/a%2Fb", "http://www.example.com:8080/a%2Fb"},
		{"Location", "www.example.com", other + "/", "http://www.example.com/"}, // another instance of the cluster
		{"Location", "www.example.com", "//" + host + "/x", "//www.example.com/x"},
		{"Content-Location", "www.example.com", own + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "/login", "/login"},
		{"Location", "www.example.com", "login?u=" + own, "login?u=" + own},
		{"Location", "www.example.com", "https://sso.example.com/?back=" + own, "https://sso.example.com/?back=" + own},
		{"Location", "www.example.com", "http://127.0.0.1:1/", "http://127.0.0.1:1/"}, // no listener of the cluster
		{"Content-Location", "www.example.com", "http://%zz//", "http://%zz//"},
		{"Location", host, own + "/x", own + "/x"},
		{"Set-Cookie", "www.example.com", "a=1; Domain=127.0.0.1; Path=/; HttpOnly", "a=1; Path=/; HttpOnly"},
		{"Set-Cookie", "www.example.com", "a=domain;domain=.127.0.0.1", "a=domain"},
		{"Set-Cookie", "www.example.com", "a=1; Domain=example.com; Path=/", "a=1; Domain=example.com; Path=/"},
		{"Set-Cookie", "127.0.0.1:80", "a=1; Domain=127.0.0.1", "a=1; Domain=127.0.0.1"},
		{"Set-Cookie", "www.example.com", "domain", "domain"},
		{"Refresh", "www.example.com", "5; url=" + own + "/x", "5; url=http://www.example.com/x"},
		{"Refresh", "www.example.com", "0;URL='" + own + "/x'", "0;URL=http://www.example.com/x"},
		{"Refresh", "www.example.com", "5", "5"},
		{"Refresh", "www.example.com", "5; url=/x//y", "5; url=/x//y"},
		{"Link", "www.example.com", "<" + own + "/2>; rel=next, </3>; rel=last, <" + other + "/1>; rel=prev", "<http://www.example.com/2>; rel=next, </3>; rel=last, <http://www.example.com/1>; rel=prev"},
		{"Link", "www.example.com", "<https://cdn.example.com//x>; rel=preload", "<https://cdn.example.com//x>; rel=preload"},
		{"Link", "www.example.com", "<" + own + "/never closed", "<" + own + "/never closed"},
		{"Link", "www.example.com", ">//<", ">//<"},
		{"Alt-Svc", "www.example.com", `h2="127.0.0.1:8443"; ma=60`, ""},
		{"Alt-Svc", "www.example.com", `h3=":443", h2="cdn.example.com:443"`, `h3=":443", h2="cdn.example.com:443"`},
	} {
		clear(answer)
		answer[tc.name] = tc.value
		req, err := http.NewRequest(http.MethodGet, r.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tc.client
		got := newClient(t).do(req)
		if value := got.Header.Get(tc.name); got.StatusCode != http.StatusFound || value != tc.want {
			t.Errorf("%s: %s for a client of %s: %d %q, want %q", tc.name, tc.value, tc.client, got.StatusCode, value, tc.want)
		}
	}
}
