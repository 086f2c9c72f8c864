package lb

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestPreferredForm(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	all, none, onlyHTML := [forms]bool{true, true, true}, [forms]bool{}, [forms]bool{formHTML: true}
	for _, tc := range []struct {
		accept string
		own    [forms]bool
		want   form
	}{
		{browser, none, formHTML},
		{browser, all, formHTML},
		{"application/json", none, formJSON},
		{"application/problem+json", none, formJSON},
		{"application/json, text/plain, */*", all, formJSON}, // what libraries for browsers send
		{"text/plain", all, formText},
		{"*/*", none, formText},
		{"*/*", onlyHTML, formHTML}, // curl sees what there is
		{"*/*", all, formText},
		{"", none, formText},
		{"image/png", onlyHTML, formText},
		{"text/html;q=0.2, application/json;q=0.9", none, formJSON},
		{"text/html;q=0, */*", onlyHTML, formText},
		{"text/html;level=1;Q=0.3, text/plain; q=0.4", none, formText},
		{"text/*", none, formHTML},
		{"application/*", none, formJSON},
		{"TEXT/HTML", none, formHTML},
		{"text/html;q=1.5", none, formText}, // no quality: the range does not count
		{"text/html;q=abc, application/json;q=0.001", none, formJSON},
		{"text/html;q=", none, formText},
		{"text/html;q=-1", none, formText},
		{",,;;,=,text", none, formText},
		{strings.Repeat("a/b,", 1000) + "text/html", none, formText},
	} {
		var lines []string
		if tc.accept != "" {
			lines = []string{tc.accept}
		}
		if got := preferredForm(lines, tc.own); got != tc.want {
			t.Errorf("%.60q with %v: %d, want %d", tc.accept, tc.own, got, tc.want)
		}
	}
	if got := preferredForm([]string{"application/json;q=0.5", "text/html"}, none); got != formHTML {
		t.Error("the second line does not count")
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("text/html;q=0.5,*/*;q=0.1")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := preferredForm([]string{accept}, [forms]bool{true, true, true}); got >= forms {
			t.Fatal(got)
		}
	})
}

// Whatever a placeholder stands for, it ends neither the string nor the element that it is in.
func TestPagesEscape(t *testing.T) {
	hostile := `<script>"'&{status}` + "\x00\r\n\\"
	v := &pageValues{503, hostile, hostile, hostile}
	p := &page{forms: [forms]template{
		formText: newTemplate("{status}{message}"), formHTML: newTemplate(`<b title="{message}">{requestId}</b>{unknown}{`), formJSON: newTemplate(`{"a":"{message}","b":{status},"c":["{reason}"]}`),
	}}
	for _, own := range []*page{p, nil} {
		body, mediaType := own.compose([]string{"application/json"}, v)
		var decoded map[string]any
		if err := json.Unmarshal(body, &decoded); err != nil || !strings.HasPrefix(mediaType, "application/") {
			t.Errorf("%v: %s %s", err, mediaType, body)
		}
		if body, _ = own.compose([]string{"text/html"}, v); strings.Contains(string(body), "<script") || strings.Contains(string(body), `""`) {
			t.Errorf("%s", body)
		}
	}
	if body, _ := p.compose([]string{"text/html"}, v); !strings.HasSuffix(string(body), "</b>{unknown}{") || !strings.Contains(string(body), "{status}") {
		t.Errorf("what is no placeholder was replaced: %s", body)
	}
}

func TestErrorPages(t *testing.T) {
	r, a, cc := limitedRig(t, nil, func(c *config.Config) {
		c.Clusters[0].Affinity.Type = "none"
		c.Proxy.RequestID = config.RequestID{Header: "X-Request-Id", Respond: true}
		c.Proxy.ErrorPages = []config.ErrorPage{
			{Status: "404", HTML: "<h1>Nothing here</h1>{requestId}", JSON: `{"code": {status}}`},
			{Status: config.Maintenance, HTML: "<h1>Back at six</h1>", Text: "back at six", RetryAfter: config.Duration(90e9)},
			{Status: "500-599", Text: "sorry: {status} {reason}", JSON: `"{message}"`},
			{Status: "503", Text: "never: the first counts"},
		}
	})
	ask := func(method, host, accept string) (reply, string) {
		t.Helper()
		req, err := http.NewRequest(method, r.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		req.Header.Set("Accept", accept)
		got := newClient(t).do(req)
		return got, strings.Join([]string{http.StatusText(got.StatusCode), got.Header.Get("Content-Type"), got.body}, "|")
	}
	cc = cc.Clone()
	cc.Clusters[0].Modules[0].Host = "www.example.com"
	r.apply(cc)
	got, is := ask("GET", "other.example", "text/html")
	if id := got.Header.Get("X-Request-Id"); id == "" || is != "Not Found|text/html; charset=utf-8|<h1>Nothing here</h1>"+id {
		t.Error(is)
	}
	if _, is := ask("GET", "other.example", "application/json"); is != `Not Found|application/json|{"code": 404}` {
		t.Error(is)
	}
	if _, is := ask("GET", "other.example", "text/plain"); is != "Not Found|text/plain; charset=utf-8|404 Not Found\nNo application is available at this address.\n" {
		t.Error(is)
	}
	if got, is := ask("HEAD", "other.example", "text/html"); is != "Not Found|text/html; charset=utf-8|" || got.ContentLength < 20 {
		t.Error(is, got.ContentLength)
	}

	// The application is taken out of service: that is another page than a failure.
	disabled := cc.Clone()
	disabled.Clusters[0].Modules[0].Enabled = false
	r.apply(disabled)
	if got, is := ask("GET", "www.example.com", "text/html"); is != "Service Unavailable|text/html; charset=utf-8|<h1>Back at six</h1>" || got.Header.Get("Retry-After") != "90" {
		t.Error(is, got.Header)
	}
	stopped := cc.Clone()
	stopped.Clusters[0].Instances[0].Enabled = false
	r.apply(stopped)
	r.endQuiesces()
	if _, is := ask("GET", "www.example.com", "*/*"); is != "Service Unavailable|text/plain; charset=utf-8|back at six" {
		t.Error(is)
	}
	r.apply(cc)
	a.Close()
	r.wait("it is out of service", func() bool {
		_, is := ask("GET", "www.example.com", "*/*")
		return is == "Service Unavailable|text/plain; charset=utf-8|sorry: 503 Service Unavailable"
	})
	if got, is := ask("GET", "www.example.com", "application/json"); is != `Service Unavailable|application/json|"The application is not available at the moment. Please try again."` || got.Header.Get("Retry-After") != "1" {
		t.Error(is, got.Header)
	}
	if _, is := ask("GET", "www.example.com", "text/html"); !strings.HasPrefix(is, "Service Unavailable|text/html; charset=utf-8|<!doctype html>") {
		t.Error(is)
	}
}
