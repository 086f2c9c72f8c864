package migrate_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/modjk"
	"github.com/holdfast-lb/holdfast/migrate/report"
	"github.com/holdfast-lb/holdfast/migrate/sun"
	"github.com/holdfast-lb/holdfast/migrate/websphere"
)

var xmlFormats = map[string]struct {
	root   string
	read   func([]byte) *build.Result
	inside string // a cluster with the name %s
}{
	"sun":       {"loadbalancer", func(b []byte) *build.Result { return sun.Import(b, sun.Options{File: "f", Lenient: true}) }, `<cluster name="%s"/>`},
	"websphere": {"Config", func(b []byte) *build.Result { return websphere.Import(b, websphere.Options{File: "f", Lenient: true}) }, `<ServerCluster Name="%s"/>`},
}

// refused wants one error or more, each with a place, within a bound of time, and nothing of the secret in it.
func refused(t *testing.T, name string, read func([]byte) *build.Result, data []byte, want, secret string) {
	t.Helper()
	begin := time.Now()
	res := read(data)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("%s: took %v", name, took)
	}
	if res.Config != nil || !res.Report.Failed() {
		t.Errorf("%s: was imported", name)
		return
	}
	var b strings.Builder
	for _, e := range res.Report.Entries {
		if e.Line < 1 || e.Column < 1 {
			t.Errorf("%s: no place: %+v", name, e)
		}
		if e.Status == report.Error {
			b.WriteString(e.String() + "\n")
		}
		if len(e.Why)+len(e.Value) > 2000 {
			t.Errorf("%s: an entry of %d bytes", name, len(e.Why)+len(e.Value))
		}
	}
	text := b.String()
	if !strings.Contains(text, want) {
		t.Errorf("%s: %.500s, want %q", name, text, want)
	}
	if secret != "" && strings.Contains(fmt.Sprint(res.Report.Entries), secret) {
		t.Errorf("%s: the report holds the file", name)
	}
}

func TestHostileFiles(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte("swordfish"), 0o600); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer srv.Close()
	for format, f := range xmlFormats {
		root := func(body string) string { return "<" + f.root + ">" + body + "</" + f.root + ">" }
		cluster := func(name string) string { return root(fmt.Sprintf(f.inside, name)) }
		doctype := func(body string) string { return "<!DOCTYPE " + f.root + " " + body + ">\n" }
		for name, tc := range map[string]struct{ text, want string }{
			"file entity":                  {doctype(`[<!ENTITY x SYSTEM "file://`+secretFile+`">]`) + cluster("&x;"), "refused"},
			"http entity":                  {doctype(`[<!ENTITY x SYSTEM "`+srv.URL+`/x">]`) + cluster("&x;"), "refused"},
			"parameter entity":             {doctype(`[<!ENTITY % x SYSTEM "`+srv.URL+`/x"> %x;]`) + cluster("c"), "refused"},
			"billion laughs":               {doctype(`[<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]`) + cluster("&b;"), "refused"},
			"quadratic":                    {doctype(`[<!ENTITY a "`+strings.Repeat("x", 100_000)+`">]`) + cluster(strings.Repeat("&a;", 10_000)), "refused"},
			"internal subset after the id": {doctype(`SYSTEM "`+srv.URL+`/dtd" [<!ELEMENT a ANY>]`) + cluster("c"), "refused"},
			"entity without declaration":   {cluster("&x;"), "entity &x; is refused"},
			"declaration inside":           {root("<!ENTITY x 'y'>"), "refused"},
			"another root in the DOCTYPE":  {"<!DOCTYPE html>" + cluster("c"), "DOCTYPE of <html>"},
			"deep":                         {strings.Repeat("<"+f.root+">", 100_000), "deep"},
			"a million nodes":              {root(strings.Repeat("<a/>", 1_000_000)), "more than 100000 elements"},
			"100 MB":                       {root(strings.Repeat(" ", 100<<20)), "at most 8388608"},
			"NUL":                          {cluster("a\x00b"), "U+0000"},
			"control":                      {cluster("a\x1bb"), "U+001B"},
			"control by number":            {cluster("a&#27;b"), "&#27;"},
			"huge number":                  {cluster("&#x7fffffffffffffff;"), "not the number"},
			"not UTF-8":                    {cluster("a\xffb"), "0xFF"},
			"truncated":                    {"<" + f.root + "><cluster", "truncated"},
			"truncated value":              {"<" + f.root + " name=\"x", "no end"},
			"empty":                        {"", "no element"},
			"not XML":                      {"{\"a\": 1}", "outside"},
			"wrong root":                   {"<html></html>", "want <" + f.root + ">"},
			"two roots":                    {cluster("c") + cluster("d"), "second element"},
			"crossed":                      {"<" + f.root + "><a></" + f.root + "></a>", "not open"},
			"twice":                        {"<" + f.root + " name='a' name='b'/>", "twice"},
			"path traversal":               {cluster("../../etc/passwd"), "cannot be the name"},
			"newline in a name":            {cluster("a&#10;b"), "cannot be the name"},
			"UTF-16":                       {"\xff\xfe<\x00", "UTF-16"},
			"UTF-7":                        {"<?xml version=\"1.0\" encoding=\"UTF-7\"?>" + cluster("c"), "UTF-7"},
			"EBCDIC":                       {"<?xml version=\"1.0\" encoding=\"IBM037\"?>" + cluster("c"), "refused"},
			"many attributes":              {"<" + f.root + attributes(100) + "/>", "more than 64"},
			"comment without an end":       {"<" + f.root + "><!-- ", "no end"},
			"long name":                    {"<" + strings.Repeat("a", 1000) + "/>", "more than 256"},
		} {
			refused(t, format+": "+name, f.read, []byte(tc.text), tc.want, "swordfish")
		}
		// A definition by its id alone is accepted, and not fetched.
		res := f.read([]byte(doctype(`SYSTEM "`+srv.URL+`/x.dtd"`) + cluster("c")))
		if res.Config == nil {
			t.Errorf("%s: %v", format, res.Report.Entries)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d="x"`, i)
	}
	return b.String()
}

func TestHostileProperties(t *testing.T) {
	read := func(b []byte) *build.Result { return modjk.Import(b, nil, modjk.Options{Workers: "f", HTTPPort: 8080}) }
	doubling := "v0=" + strings.Repeat("x", 100) + "\n"
	for i := range 100 {
		doubling += fmt.Sprintf("v%d=$(v%d)$(v%d)\n", i+1, i, i)
	}
	wide := "v=" + strings.Repeat("x", 8000) + "\n" + strings.Repeat("w=$(v)\n", 90_000)
	circle := "worker.list=a\nworker.a.reference=worker.b\nworker.b.reference=worker.a\nworker.a.host=h\n"
	for name, tc := range map[string]struct{ text, want string }{
		"empty":                   {"", "no worker.list"},
		"NUL":                     {"worker.list=a\x00b", "U+0000"},
		"100 MB":                  {strings.Repeat("# a comment\n", 9<<20), "at most 8388608"},
		"long line":               {"worker.list=" + strings.Repeat("a", 9000), "more than 8192"},
		"many lines":              {strings.Repeat("a=b\n", 200_000), "more than 100000"},
		"doubling":                {doubling, "once its variables are replaced"},
		"wide":                    {wide, "once its variables are replaced"},
		"variable":                {"worker.list=$(nowhere)", "no variable"},
		"variable without an end": {"worker.list=$(a", "no end"},
		"circle":                  {circle, "circle"},
		"no value":                {"worker.list", "is no directive"},
		"unknown directive":       {"worker.list=a\nworker.a.colour=red", "no directive \"colour\""},
		"name":                    {"worker.list=a\nworker.../x.host=red", "worker"},
		"UTF-16":                  {"\xff\xfew\x00", "UTF-16"},
		"unknown worker":          {"worker.list=a", "no worker \"a\""},
		"huge number":             {"worker.list=a\nworker.a.host=h\nworker.a.lbfactor=99999999999999999999", "out of range"},
		"balancer in a balancer":  {"worker.list=a\nworker.a.type=lb\nworker.a.balance_workers=b\nworker.b.type=lb\nworker.b.balance_workers=a", "only workers"},
		"host with a path":        {"worker.list=a\nworker.a.host=/var/run/x.sock", "machine"},
	} {
		refused(t, name, read, []byte(tc.text), tc.want, "")
	}
	// A map of URIs is read with the same care.
	good := "worker.list=a\nworker.a.host=h\n"
	for name, tc := range map[string]struct{ text, want string }{
		"NUL": {"/a=\x00", "U+0000"}, "unknown worker": {"/a=b", "no worker"}, "no pattern": {"a=a", "no URI pattern"}, "many": {manyRules(6000), "more than 5000"},
	} {
		refused(t, "map: "+name, func(b []byte) *build.Result {
			return modjk.Import([]byte(good), b, modjk.Options{Workers: "f", HTTPPort: 8080})
		}, []byte(tc.text), tc.want, "")
	}
}

func manyRules(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "/a%d/*=a\n", i)
	}
	return b.String()
}
