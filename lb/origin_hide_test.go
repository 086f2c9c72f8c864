package lb

import (
	"fmt"
	"io"
	"net"
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
		w.WriteHeader(http.StatusCreated) // clients in Go refuse a redirect that they cannot read
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
		{"Location", "www.example.com", own + "/100%", "http://www.example.com/100%"}, // no URL, and yet browsers follow it
		{"Location", "www.example.com", own + "/%zz?a b", "http://www.example.com/%zz?a b"},
		{"Location", "www.example.com", own, "http://www.example.com"},
		{"Location", "www.example.com", own + "?x", "http://www.example.com?x"},
		{"Location", "www.example.com", "HTTP://" + strings.Replace(host, ":", ".:", 1) + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http://joe:secret@" + host + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", `http:\\` + host + `\x`, `http://www.example.com\x`},
		{"Location", "www.example.com", `/\` + host + `/x`, "//www.example.com/x"},
		{"Location", "www.example.com", "http:////" + host + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "ws://" + host + "/x", "ws://www.example.com/x"},
		{"Location", "www.example.com", "/a//" + host, "/a//" + host},
		{"Location", "www.example.com", "http:/" + host + "/x", "http://www.example.com/x"}, // browsers repair it
		{"Location", "www.example.com", `https:\` + host + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http:" + host + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http://" + strings.Replace(host, ":", ":0", 1) + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http://" + strings.Replace(host, ".0.", "%2e0.", 1) + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http://" + strings.Replace(host, ".0.", ".\t0.", 1) + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "http://[::ffff:" + strings.Replace(host, ":", "]:", 1) + "/x", "http://www.example.com/x"},
		{"Location", "www.example.com", "mailto:joe@" + host, "mailto:joe@" + host},
		{"Location", "www.example.com", "x:/" + host, "x:/" + host},
		{"Location", "www.example.com", "http:login", "http:login"},
		{"Refresh", "www.example.com", "5; url=http:/" + host + "/x", "5; url=http://www.example.com/x"},
		{"Link", "www.example.com", "<http:/" + host + "/2>; rel=next", "<http://www.example.com/2>; rel=next"},
		{"Location", "www.example.com", "http://www.example.com/@" + host, "http://www.example.com/@" + host},
		{"Set-Cookie", "www.example.com", "a=1; Domain=127.0.0.1; Path=/; HttpOnly", "a=1; Path=/; HttpOnly"},
		{"Set-Cookie", "www.example.com", "a=domain;domain=.127.0.0.1", "a=domain"},
		{"Set-Cookie", "www.example.com", "a=1; Domain=example.com; Path=/", "a=1; Domain=example.com; Path=/"},
		{"Set-Cookie", "127.0.0.1:80", "a=1; Domain=127.0.0.1", "a=1; Domain=127.0.0.1"},
		{"Set-Cookie", "www.example.com", "domain", "domain"},
		{"Refresh", "www.example.com", "5; url=" + own + "/x", "5; url=http://www.example.com/x"},
		{"Refresh", "www.example.com", "0;URL='" + own + "/x'", "0;URL=http://www.example.com/x"},
		{"Refresh", "www.example.com", "5", "5"},
		{"Refresh", "www.example.com", "5; URL = " + own + "/x", "5; URL = http://www.example.com/x"},
		{"Refresh", "www.example.com", "1.5," + own + "/x", "1.5,http://www.example.com/x"},
		{"Refresh", "www.example.com", `0 url="` + own + `/100%" ; more`, "0 url=http://www.example.com/100%"},
		{"Refresh", "www.example.com", "5; url=/x?url=" + own, "5; url=/x?url=" + own},
		{"Refresh", "www.example.com", "5; url=", "5; url="},
		{"Refresh", "www.example.com", "5; url=/x//y", "5; url=/x//y"},
		{"Link", "www.example.com", "<" + own + "/2>; rel=next, </3>; rel=last, <" + other + "/1>; rel=prev", "<http://www.example.com/2>; rel=next, </3>; rel=last, <http://www.example.com/1>; rel=prev"},
		{"Link", "www.example.com", "<https://cdn.example.com//x>; rel=preload", "<https://cdn.example.com//x>; rel=preload"},
		{"Link", "www.example.com", "<" + own + "/never closed", "<" + own + "/never closed"},
		{"Link", "www.example.com", ">//<", ">//<"},
		{"Link", "www.example.com", `</2>; rel=next; anchor="` + own + `/1", <` + own + `/100%>; anchor=` + own + `/x;rel=up`, `</2>; rel=next; anchor="http://www.example.com/1", <http://www.example.com/100%>; anchor=http://www.example.com/x;rel=up`},
		{"Link", "www.example.com", `<//a/>; anchor`, `<//a/>; anchor`},
		{"Link", "www.example.com", `<//a/>; anchor="//` + host, `<//a/>; anchor="//www.example.com`},
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
		if value := got.Header.Get(tc.name); got.StatusCode != http.StatusCreated || value != tc.want {
			t.Errorf("%s: %s for a client of %s: %d %q, want %q", tc.name, tc.value, tc.client, got.StatusCode, value, tc.want)
		}
	}
}

// TestInstancesAreNotShownHoweverManyTimes: every line of a head is put right, in final responses and in interim ones, on any engine and in any protocol.
func TestInstancesAreNotShownHoweverManyTimes(t *testing.T) {
	const cookies = 60
	o := newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
		io.Copy(io.Discard, q.Body)
		var head strings.Builder
		for i := range cookies {
			fmt.Fprintf(&head, "Set-Cookie: c%d=1; Domain=127.0.0.1; Path=/\r\n", i)
		}
		for range 2 { // twice, as some applications do
			for _, name := range []string{"Location", "Content-Location", "Refresh: 1; url", "Link"} {
				sep, value := ": ", "http://"+c.LocalAddr().String()+"/x"
				switch name {
				case "Link":
					value = "<" + value + ">"
				case "Refresh: 1; url":
					sep = "="
				}
				head.WriteString(name + sep + value + "\r\n")
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 103 Early Hints\r\n%[1]s\r\nHTTP/1.1 200 OK\r\n%[1]sContent-Length: 2\r\n\r\nok", head.String())
		return true
	})
	cc := bare(inst("i1", o.url))
	cc.Listeners[0].HTTP2 = true
	r := newRig(t, cc)
	three := http3Conf(inst("i1", o.url))
	three.Clusters = clone(cc).Clusters
	secured, ca := http3Rig(t, three)
	for _, way := range []struct {
		name string
		c    *client
		url  string
	}{
		{"HTTP/1.1, loops", newClient(t), r.url("/a")}, {"HTTP/1.1, net", newClient(t), r.url("/%61")},
		{"HTTP/2, loops", newHTTP2Client(t), r.url("/a")}, {"HTTP/2, net", newHTTP2Client(t), r.url("/%61")},
		{"HTTP/3", http3Client(t, ca), secured.secureURL("/a")},
	} {
		early, late := heads(t, way.c, way.url)
		for which, h := range map[string]http.Header{"interim": early, "final": late} {
			if len(h["Set-Cookie"]) != cookies || len(h["Location"]) != 2 || len(h["Link"]) != 2 || len(h["Refresh"]) != 2 {
				t.Errorf("%s, %s: %v", way.name, which, h)
			}
			for name, values := range h {
				for i, value := range values {
					if strings.Contains(value, "127.0.0.1") {
						t.Errorf("%s, %s: %s %d: %q", way.name, which, name, i, value)
					}
				}
			}
		}
	}
}

// TestInstancesAreNotShownToClientsWithoutHost: who names no host gets a path, which leads nowhere else.
func TestInstancesAreNotShownToClientsWithoutHost(t *testing.T) {
	for rest, want := range map[string]string{"/x": "/x", "": "/", "?x": "/?x", "//evil.example/": "/.//evil.example/", `/\evil.example`: `/./\evil.example`, `\x`: "/x"} {
		o := newOrigin(t, func(c *net.TCPConn, _ *http.Request, _ int64) bool {
			fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: http://%s%s\r\nContent-Length: 0\r\n\r\n", c.LocalAddr(), rest)
			return true
		})
		r := newRig(t, bare(inst("i1", o.url)))
		for _, path := range []string{"/a", "/%61"} {
			c := dialRaw(t, r)
			c.write("GET " + path + " HTTP/1.0\r\n\r\n")
			if got := c.response().Header.Get("Location"); got != want {
				t.Errorf("%s: %q: %q, want %q", path, rest, got, want)
			}
		}
	}
}

// TestAddressesOfNamesAreNotShown: an instance that is configured by a name knows itself by its address, which Holdfast has found out. Another port of it is another service's.
func TestAddressesOfNamesAreNotShown(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"Location", "http://127.0.0.1:PORT/x", "http://www.example.com/x"},
		{"Location", "http:/127.0.0.1:PORT/x", "http://www.example.com/x"},
		{"Location", "http://localhost:PORT/x", "http://www.example.com/x"},
		{"Location", "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"},
		{"Location", "http://127.0.0.2:PORT/x", "http://127.0.0.2:PORT/x"},
		{"Set-Cookie", "a=1; Domain=127.0.0.1; Path=/", "a=1; Path=/"},
		{"Set-Cookie", "a=1; Domain=localhost; Path=/", "a=1; Path=/"},
		{"Alt-Svc", `h2="127.0.0.1:8443"`, ""},
	} {
		o := newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
			port := fmt.Sprint(c.LocalAddr().(*net.TCPAddr).Port)
			fmt.Fprintf(c, "HTTP/1.1 201 Created\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", tc.name, strings.ReplaceAll(tc.value, "PORT", port))
			return true
		})
		r := newRig(t, bare(inst("i1", strings.Replace(o.url, "127.0.0.1", "localhost", 1))))
		for _, path := range []string{"/%61", "/a"} { // the first has the name looked up
			req := request(t, http.MethodGet, r.url(path), "")
			req.Host = "www.example.com"
			got := newClient(t).do(req).Header.Get(tc.name)
			if _, port, _ := strings.Cut(strings.TrimPrefix(o.url, "http://"), ":"); got != strings.ReplaceAll(tc.want, "PORT", port) {
				t.Errorf("%s: %s: %s: %q", path, tc.name, tc.value, got)
			}
		}
		wantEngines(t, r, 1, 1)
	}
}
