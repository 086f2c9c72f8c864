package admin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

func putFile(r *rig, name, content string) *wire.File {
	r.Helper()
	f := decode[wire.File](r.T, post(r.api, "PUT", "/v1/files/"+name, content, "Content-Type", "application/octet-stream"))
	return &f
}

// TestFilesGoInParts: a file is cut into parts, in order, and comes back byte for byte.
func TestFilesGoInParts(t *testing.T) {
	r := newRig(t)
	content := strings.Repeat("0123456789abcdef", fsm.MaxFile/16-1) + "end"
	hash := sha256.Sum256([]byte(content))
	f := putFile(r, "large.png", content)
	if f.Name != "large.png" || f.Size != len(content) || f.SHA256 != hex.EncodeToString(hash[:]) {
		t.Errorf("%+v", f)
	}
	if c := last[*fsm.FilePart](t, r.node); c.At != len(content)-len(c.Data) || len(c.Data) > fsm.MaxFilePart || c.Actor == "" {
		t.Errorf("the last part is %d bytes from %d", len(c.Data), c.At)
	}
	if w := read(r.api, "/v1/files/large.png"); w.Body.String() != content || w.Header().Get("Content-Type") != "application/octet-stream" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d bytes came back, %v", w.Body.Len(), w.Header())
	}
	putFile(r, "a.css", "b{}")
	list := decode[wire.FileList](t, read(r.api, "/v1/files"))
	if len(list.Files) != 2 || list.Files[0].Name != "a.css" || list.Size != len(content)+3 || list.Limit != fsm.MaxFiles {
		t.Errorf("%+v", list)
	}
	if again := putFile(r, "a.css", "b{}"); again.SHA256 != list.Files[0].SHA256 || !again.Changed.Equal(list.Files[0].Changed) {
		t.Errorf("%+v", again)
	}
}

// TestFilesThatAreRefused: each with its reason, and nothing changes.
func TestFilesThatAreRefused(t *testing.T) {
	r := newRig(t)
	put := func(name, content, media string) int {
		return post(r.api, "PUT", "/v1/files/"+name, content, "Content-Type", media).Code
	}
	const bytes = "application/octet-stream"
	for what, code := range map[string]int{
		"empty":     put("a.css", "", bytes),
		"too large": put("a.css", strings.Repeat("x", fsm.MaxFile+1), bytes),
		"a path":    put("..%2fa.css", "x", bytes),
		"hidden":    put(".a", "x", bytes),
		"blank":     put("a%20b", "x", bytes),
		"long":      put(strings.Repeat("x", 129), "x", bytes),
		"HTML":      put("a.html", "x", "text/html"),
		"up":        put("..", "x", bytes),
	} {
		if code < 400 || code >= 500 {
			t.Errorf("%s: %d", what, code)
		}
	}
	if o := r.node.state.Operating(); len(o.Files) != 0 || len(o.Uploads) != 0 {
		t.Errorf("%d files, %d uploads", len(o.Files), len(o.Uploads))
	}
	for _, path := range []string{"/v1/files/none", "/v1/files/..%2f..%2fetc%2fpasswd"} {
		if w := read(r.api, path); w.Code != http.StatusNotFound && w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := post(r.api, "DELETE", "/v1/files/none", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestFilesInUse are not removed, and a configuration that names one which is not there is refused with its place.
func TestFilesInUse(t *testing.T) {
	r := newRig(t)
	named := "proxy: {errorPages: [{status: 503, file: sorry.html}]}\n" + okConfig
	apply := func() *wire.Problem {
		t.Helper()
		w := post(r.api, "PUT", "/v1/config", named, "Content-Type", "application/yaml", "If-Match", read(r.api, "/v1/config").Header().Get("ETag"))
		if w.Code < 300 {
			return nil
		}
		p := new(wire.Problem)
		if err := json.Unmarshal(w.Body.Bytes(), p); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return p
	}
	if p := apply(); p == nil || len(p.Errors) != 1 || p.Errors[0].Location != "proxy.errorPages[0].file" || !strings.Contains(p.Errors[0].Message, "holdfast file put") {
		t.Fatalf("%+v", p)
	}
	putFile(r, "sorry.html", "<b>sorry</b>")
	if p := apply(); p != nil {
		t.Fatalf("%+v", p)
	}
	if list := decode[wire.FileList](t, read(r.api, "/v1/files")); len(list.Files[0].Pages) != 1 || list.Files[0].Pages[0] != "503" {
		t.Errorf("%+v", list)
	}
	if w := post(r.api, "DELETE", "/v1/files/sorry.html", ""); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "change the page first") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	putFile(r, "sorry.html", "<b>another</b>")
	if f := r.node.state.Operating().File("sorry.html"); string(f.Data) != "<b>another</b>" {
		t.Errorf("%s", f.Data)
	}
}
