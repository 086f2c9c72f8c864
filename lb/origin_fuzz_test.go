package lb

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// disguiseOf is that of a cluster with one instance at 10.0.0.11:8080, for a client that knows www.example.com.
func disguiseOf() disguise {
	state := &instanceState{endpoints: atomic.Pointer[[]*endpoint]{}}
	state.endpoints.Store(&[]*endpoint{{hostPort: "10.0.0.11:8080"}})
	return disguise{cluster: &cluster{instances: []*instance{{state: state}}}, host: "www.example.com", scheme: "http"}
}

// TestHidesWhatIsNoText: bytes that are no UTF-8, and letters that are longer in lower case, move nothing.
func TestHidesWhatIsNoText(t *testing.T) {
	d := disguiseOf()
	for _, tc := range [][3]string{
		{"Refresh", "//\xff\xffurl=", "//\xff\xffurl="},
		{"Link", "</a//\xff>; anchor", "</a//\xff>; anchor"},
		{"Link", "<//a>; \xff\xff\xff; ȺȺȺȺȺȺ; anchor=http://10.0.0.11:8080/x", "<//a>; \xff\xff\xff; ȺȺȺȺȺȺ; anchor=http://www.example.com/x"},
		{"Link", "<//a>; \xff\xff\xffanchor", "<//a>; \xff\xff\xffanchor"},
		{"Link", "<//a>; title=\"anchor\"; ANCHOR = \"http://10.0.0.11:8080/x\"; rel=up", "<//a>; title=\"anchor\"; ANCHOR = \"http://www.example.com/x\"; rel=up"},
		{"Set-Cookie", "a=ȺȺ\xff; Domain=10.0.0.11", "a=ȺȺ\xff"},
	} {
		h := http.Header{tc[0]: {tc[1]}}
		d.hide(h)
		if got := h[tc[0]][0]; got != tc[2] {
			t.Errorf("%s: %q, want %q", tc[0], got, tc[2])
		}
	}
}

// FuzzHide: no line of an instance's head does harm, and what begins like a URL of the instance does not go out as one.
func FuzzHide(f *testing.F) {
	for _, line := range []string{"5; url=http://10.0.0.11:8080/x", "//\xff\xffurl=", "<http://10.0.0.11:8080/>; anchor=\"//10.0.0.11:8080\"", "a=1; Domain=10.0.0.11", `h2="10.0.0.11:8443"`, "http://10.0.0.11:8080/100%", "ȺȺurl=//"} {
		f.Add(line)
	}
	d := disguiseOf()
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{}
		for _, name := range [...]string{"Location", "Content-Location", "Refresh", "Link", "Alt-Svc", "Set-Cookie"} {
			h[name] = []string{line}
		}
		d.hide(h)
		for _, before := range [...]string{"http://10.0.0.11:8080", "//10.0.0.11:8080"} {
			if got := h["Location"][0]; strings.HasPrefix(got, before+"/") || got == before {
				t.Errorf("%q is %q", line, got)
			}
		}
	})
}
