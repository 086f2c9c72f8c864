package lb

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func testFile(name, content string) *fsm.File {
	return &fsm.File{Name: name, Hash: sha256.Sum256([]byte(content)), Size: len(content), Data: []byte(content), Version: 1}
}

// setFiles puts the files into the group's state and waits until they are in force.
func (r *rig) setFiles(list ...*fsm.File) {
	r.t.Helper()
	r.g.operate(func(o *fsm.Operating) { o.Files = list })
	r.wait("the files are in force", func() bool { return r.b.routing.Load().index == r.node.Operating().Index })
}

// TestFilesAreServed: TIP-13. Below filesPath each listener serves them, before any module, on both engines; nothing else is there, and nobody is asked.
func TestFilesAreServed(t *testing.T) {
	for name, net := range map[string]bool{"loops": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, "i1", nil)
			cc := conf(of(a)...)
			cc.Proxy.FilesPath = "/_files/"
			cc.Listeners[0].HTTP2 = true
			r := newRigOn(t, newFakeGroup(cc), Options{NetOnly: net})
			r.setFiles(testFile("evil.txt", "<script>alert(1)</script>"), testFile("logo.PNG", "\x89PNG"), testFile("site.css", "b{}"), testFile("tool.exe", "MZ"))
			c := newClient(t)
			for file, want := range map[string]string{
				"site.css": "text/css; charset=utf-8|b{}", "logo.PNG": "image/png|\x89PNG", "evil.txt": "text/plain; charset=utf-8|<script>alert(1)</script>", "tool.exe": "application/octet-stream|MZ",
			} {
				got := c.get(r.url("/_files/" + file))
				if is := got.Header.Get("Content-Type") + "|" + got.body; got.StatusCode != 200 || is != want || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s: %d %s %v", file, got.StatusCode, is, got.Header)
				}
			}
			for _, path := range []string{"/_files/", "/_files/none.css", "/_files/site.css/", "/_files/a/site.css", "/_files/site.css%00", "/_files/SITE.css"} {
				if got := c.get(r.url(path)); got.StatusCode != 404 {
					t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
				}
			}
			if a.count() != 0 {
				t.Error("the instance was asked")
			}
			for path, want := range map[string]string{"/_files": "i1", "/_filesite.css": "i1", "/x/_files/site.css": "i1", "/_files/../site.css": "i1", "/_files/..%2fsite.css": "i1", "//_files/site.css": "b{}", "/_files/./site.css": "b{}", "/_files/%73ite.css": "b{}"} {
				raw := dialRaw(t, r)
				raw.write("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				resp := raw.response()
				if b := contentOf(resp); !strings.HasSuffix(b, want) {
					t.Errorf("%s: %d %q", path, resp.StatusCode, b)
				}
			}
			if got := newHTTP2Client(t).get(r.url("/_files/site.css")); got.StatusCode != 200 || got.body != "b{}" {
				t.Errorf("HTTP/2: %d %s", got.StatusCode, got.body)
			}
		})
	}
}

// contentOf reads what is left of a response.
func contentOf(resp *http.Response) string {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestFilesAreOnlyRead: methods, the validator, and what a change does to a connection that is open.
func TestFilesAreOnlyRead(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil))...)
	cc.Proxy.FilesPath = "/f/"
	r := newRig(t, cc)
	r.setFiles(testFile("a.css", "one"))
	c := dialRaw(t, r)
	ask := func(method, more string) *http.Response {
		t.Helper()
		c.write(method + " /f/a.css HTTP/1.1\r\nHost: h\r\n" + more + "\r\n")
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := ask("GET", "")
	etag := first.Header.Get("ETag")
	if !strings.HasSuffix(contentOf(first), "one") || len(etag) != 34 || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v", first.Header)
	}
	for match, status := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		resp := ask("GET", "If-None-Match: "+match+"\r\n")
		if contentOf(resp); resp.StatusCode != status || resp.Header.Get("ETag") != etag {
			t.Errorf("%s: %d", match, resp.StatusCode)
		}
	}
	if resp := ask("HEAD", ""); resp.StatusCode != 200 || resp.ContentLength != 3 {
		t.Errorf("%d %d", resp.StatusCode, resp.ContentLength)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		resp := ask(method, "Content-Length: 0\r\n")
		if contentOf(resp); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	r.setFiles(testFile("a.css", "two"))
	if resp := ask("GET", "If-None-Match: "+etag+"\r\n"); resp.StatusCode != 200 || !strings.HasSuffix(contentOf(resp), "two") {
		t.Error("the old file is served")
	}
	r.setFiles()
	if resp := ask("GET", ""); resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// TestPagesOfFiles: an error page that is a file, in its form, with placeholders; another file takes its place at once.
func TestPagesOfFiles(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil))...)
	cc.Clusters[0].Modules[0].Enabled = false
	cc.Proxy.ErrorPages = []config.ErrorPage{{Status: config.Maintenance, File: "sorry.html", Text: "back at six"}, {Status: "404", File: "none.json"}}
	g := newFakeGroup(cc)
	g.operate(func(o *fsm.Operating) {
		o.Files = []*fsm.File{testFile("none.json", `{"code": {status}}`), testFile("sorry.html", "<b>{message}</b>")}
	})
	r := newRigOn(t, g, Options{})
	ask := func(accept string) string {
		t.Helper()
		req, err := http.NewRequest("GET", r.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		got := newClient(t).do(req)
		return got.Header.Get("Content-Type") + "|" + got.body
	}
	if got := ask("text/html"); got != "text/html; charset=utf-8|<b>The application is being worked on. Please try again later.</b>" {
		t.Error(got)
	}
	if got := ask("text/plain"); got != "text/plain; charset=utf-8|back at six" {
		t.Error(got)
	}
	r.setFiles(testFile("none.json", `{}`), testFile("sorry.html", "<i>soon</i>"))
	if got := ask("text/html"); got != "text/html; charset=utf-8|<i>soon</i>" {
		t.Error(got)
	}
}

// TestNodeWithoutAFileIsNotReady: TIP-14. It says what it lacks, and is ready when it has it.
func TestNodeWithoutAFileIsNotReady(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil))...)
	r := newRig(t, cc)
	named := clone(cc)
	named.Proxy.ErrorPages = []config.ErrorPage{{Status: "404", Text: "x"}, {Status: "503", File: "sorry.html"}}
	r.apply(named)
	err := r.b.Ready()
	if err == nil || !strings.Contains(err.Error(), "error page 1 names the file sorry.html, which this node does not have") {
		t.Fatal(err)
	}
	if err := r.b.Serving(); err != nil {
		t.Errorf("it serves nobody: %v", err)
	}
	r.setFiles(testFile("sorry.html", "x"))
	if err := r.b.Ready(); err != nil {
		t.Error(err)
	}
}
