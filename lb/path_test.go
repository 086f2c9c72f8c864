package lb

import (
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestNormalHost(t *testing.T) {
	for in, want := range map[string]string{"": "", "WWW.Example.com": "www.example.com", "a:80": "a", "a.": "a", "a.:8080": "a.",
		"[::1]:80": "::1", "[::1]": "::1", "::1": "::1", "127.0.0.1:1": "127.0.0.1", "[": "["} {
		if got := normalHost(in); got != want && in != "a.:8080" {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if normalHost("a.:8080") != "a" {
		t.Error("the root's dot before a port stays")
	}
}

func TestRoutingPath(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/a/b/": "/a/b/", "/a;jsessionid=x/b": "/a/b", "/a;x": "/a", "/a//b": "/a/b", "/a/../b": "/b",
		"/a/%2e%2e/b": "/b", "/%61pp/x": "/app/x", "/a/./b": "/a/b", "/../..": "/", "/a%2Fb": "/a/b", "/a;/../b": "/b",
	} {
		u, err := url.ParseRequestURI(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := routingPath(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPathParam(t *testing.T) {
	for in, want := range map[string]string{
		"/a": "", "/a;jsessionid=X": "X", "/a;jsessionid=X/b": "X", "/a;v=1;jsessionid=X;w": "X", "/a;jsessionid=": "",
		"/a;jsessionid": "", "/a;jsessionid=/b;jsessionid=Y": "Y", "/a;JSESSIONID=X": "", "/a;jsessionid=X.r": "X.r",
		"/;jsessionid=0000abc:clone": "0000abc:clone", "/a;jsessionid=%41": "A", "/a;jsessionid=%4": "",
		"/a;jsessionid=" + strings.Repeat("x", maxSessionIDLen+1): "",
	} {
		if got, _, ok := pathParam(in, "jsessionid"); got != want || ok != (want != "") {
			t.Errorf("%.40s: %q, want %q", in, got, want)
		}
	}
	first, rest, _ := pathParam("/a;jsessionid=X/b;jsessionid=Y", "jsessionid")
	second, _, _ := pathParam(rest, "jsessionid")
	if first != "X" || second != "Y" {
		t.Error(first, second)
	}
}

func TestWithoutParams(t *testing.T) {
	for in, want := range map[string]string{"/a": "/a", "/a;s=1": "/a", "/a;s=1/b;t/c": "/a/b/c", "/a;s/": "/a/", ";": ""} {
		if got := withoutParams(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestMatchLongestContextRootAtSegmentBoundary(t *testing.T) {
	rt := &routing{exact: map[string][]*site{}}
	for _, m := range []config.Module{{ContextRoot: "/"}, {ContextRoot: "/app"}, {ContextRoot: "/app/admin"}, {ContextRoot: "/app", Host: "h"},
		{ContextRoot: "/only", Host: "h"}} {
		rt.add(&site{host: normalHost(m.Host), root: normalRoot(m.ContextRoot)})
	}
	rt.sort()
	for _, c := range []struct{ host, path, wantHost, wantRoot string }{
		{"x", "/", "", "/"}, {"x", "/app", "", "/app"}, {"x", "/app/", "", "/app"}, {"x", "/apple", "", "/"}, {"x", "/app/admin/1", "", "/app/admin"},
		{"x", "/app/administrator", "", "/app"}, {"H:80", "/app/x", "h", "/app"}, {"h", "/app/admin", "", "/app/admin"}, {"h", "/z", "", "/"},
		{"h", "/only/1", "h", "/only"}, {"x", "/only/1", "", "/"},
	} {
		if got := rt.match(c.host, c.path); got == nil || got.host != c.wantHost || got.root != c.wantRoot {
			t.Errorf("%s%s: %+v", c.host, c.path, got)
		}
	}
	if (&routing{}).match("x", "/") != nil {
		t.Error("a match in nothing")
	}
}

func FuzzPathParam(f *testing.F) {
	for _, s := range []string{"/a;jsessionid=X/b", ";;;", "/a;jsessionid=%41", "/;jsessionid=a;jsessionid=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		rest := p
		for {
			value, next, ok := pathParam(rest, "jsessionid")
			if !ok {
				break
			}
			if value == "" || len(value) > maxSessionIDLen || len(next) >= len(rest) {
				t.Fatalf("value %q, rest %q of %q", value, next, rest)
			}
			rest = next
		}
		if strings.Contains(withoutParams(p), ";") {
			t.Fatal("a parameter is left over")
		}
		if u, err := url.ParseRequestURI(p); err == nil && strings.HasPrefix(p, "/") {
			if got := routingPath(u); !strings.HasPrefix(got, "/") {
				t.Fatalf("routing path %q of %q", got, p)
			}
		}
	})
}
