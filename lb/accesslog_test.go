package lb

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// hostileTexts end lines, fields and strings of one reader or another.
var hostileTexts = []string{
	"", `"`, `\`, "a\r\nb", "\n{\"forged\":true}", "\x00\x01\x1b[2J\x7f", "\xff\xfe", "\u2028\u2029", "\u202eevil", "\u0085", "\ufeff", `" 200 5 "-" "-"`, "ä€😀", "</script>", strings.Repeat("x", 5000),
}

// Whatever a client sends, its line is one line, and of the format.
func TestNobodyForgesALine(t *testing.T) {
	combined := regexp.MustCompile(`^[!-~ ]*$`)
	shape := regexp.MustCompile(`^([^" ]*) - - \[[^\]"]*\] "([^"]*)" \d+ (\d+|-) "([^"]*)" "([^"]*)"$`)
	for _, text := range hostileTexts {
		e := &logEntry{time: time.Now(), client: text, method: text, host: text, path: text, proto: text, problem: text, requestID: text, userAgent: text, referer: text, listener: text, cluster: text, instance: text}
		for _, c := range []config.AccessLog{{}, {Fields: config.AccessLogFields}} {
			line := string(newLogFormat(&c).line(nil, e))
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "}\n") {
				t.Fatalf("%q: %v in %q", text, err, line)
			}
			if want := strings.ToValidUTF8(text, "\ufffd"); got["host"] != want && !strings.Contains(text, "\xff") {
				t.Errorf("%q came out as %q", text, got["host"])
			}
			for _, r := range line {
				if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0x202e {
					t.Errorf("%q: U+%04X is in the line", text, r)
				}
			}
		}
		e.client = "192.0.2.1"
		line := strings.TrimSuffix(string(newLogFormat(&config.AccessLog{Format: "combined"}).line(nil, e)), "\n")
		if !combined.MatchString(line) || !shape.MatchString(line) {
			t.Errorf("%q: %q", text, line)
		}
	}
}

func FuzzLogLine(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	every := newLogFormat(&config.AccessLog{Fields: config.AccessLogFields})
	f.Fuzz(func(t *testing.T, s string) {
		e := &logEntry{method: s, host: s, path: s, userAgent: logged([]string{s}), referer: loggedURL([]string{s})}
		line := every.line(nil, e)
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%v in %q", err, line)
		}
		if r := e.referer; strings.ContainsAny(r, "?#;") {
			t.Fatalf("%q is shown of %q", r, s)
		}
	})
}

// Every field that the configuration may name is one that a line can have, and the other way round.
func TestLogFieldsAreThoseOfTheConfiguration(t *testing.T) {
	if len(config.AccessLogFields) != len(logFields) {
		t.Errorf("%d and %d fields", len(config.AccessLogFields), len(logFields))
	}
	for _, name := range config.AccessLogFields {
		if _, ok := logFields[name]; !ok {
			t.Errorf("there is no field %s", name)
		}
	}
}

func TestFormatsOfTheLog(t *testing.T) {
	e := &logEntry{
		time: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), node: "n1", listener: "web", client: "192.0.2.1", peer: netip.MustParseAddr("10.0.0.1"), method: "GET", host: "h", path: "/a", proto: "HTTP/1.1",
		status: 200, bytes: 5, took: 1234 * time.Microsecond, cluster: "c1", instance: "i1", assigned: true, userAgent: "curl", referer: "http://x/",
	}
	for _, tc := range []struct {
		c    config.AccessLog
		want string
	}{
		{config.AccessLog{}, `{"time":"2026-03-04T05:06:07.089Z","node":"n1","listener":"web","client":"192.0.2.1","method":"GET","host":"h","path":"/a","proto":"HTTP/1.1","status":200,"bytes":5,"ms":1.234,"cluster":"c1","instance":"i1","assigned":true}`},
		{config.AccessLog{Fields: []string{"status", "peer", "retries", "error", "userAgent"}}, `{"status":200,"peer":"10.0.0.1","retries":0,"error":"","userAgent":"curl"}`},
		{config.AccessLog{Format: "combined"}, `192.0.2.1 - - [04/Mar/2026:05:06:07 +0000] "GET /a HTTP/1.1" 200 5 "http://x/" "curl"`},
	} {
		if got := string(newLogFormat(&tc.c).line(nil, e)); got != tc.want+"\n" {
			t.Errorf("%+v:\n%s", tc.c, got)
		}
	}
}

// Session ids stand in no format of the log.
func TestLogHasNoSessionIDs(t *testing.T) {
	r, _, cc := limitedRig(t, nil, func(c *config.Config) {})
	for _, l := range []config.AccessLog{{}, {Format: "combined"}, {Fields: config.AccessLogFields}} {
		cc = cc.Clone()
		cc.Proxy.AccessLog = l
		r.apply(cc)
		for _, referer := range []string{"http://x/a;jsessionid=topsecret", "http://x/?s=topsecret", "http://topsecret@x/#topsecret", "/a;jsessionid=topsecret?topsecret", "http://x;jsessionid=topsecret/b;j=topsecret"} {
			send(t, r, "/a;jsessionid=topsecret/b?token=topsecret", "Cookie: HOLDFAST=topsecret; JSESSIONID=topsecret", "Referer: "+referer, "Authorization: topsecret")
		}
	}
	if log := r.accessLog(); strings.Contains(log, "topsecret") || strings.Count(log, "\n") != 15 || strings.Count(log, "/a/b") != 15 {
		t.Error(log)
	}
}

func TestSampleOfTheLog(t *testing.T) {
	f := newLogFormat(&config.AccessLog{Sample: 10})
	n := 0
	for range 10_000 {
		if f.wants(200, false) {
			n++
		}
		if !f.wants(503, false) || !f.wants(200, true) {
			t.Fatal("a failure is not logged")
		}
	}
	if n < 700 || n > 1300 {
		t.Errorf("%d of 10000 with a sample of one in 10", n)
	}
	if newLogFormat(&config.AccessLog{Format: "off"}).wants(500, true) {
		t.Error("off is not off")
	}
}

// Many goroutines add lines at once: each arrives whole, and once.
func TestLogUnderContention(t *testing.T) {
	out := &syncBuffer{}
	l := newAccessLog(out, "n1")
	go l.run()
	const writers, each = 16, 2000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				l.add(func(b []byte) []byte { return fmt.Appendf(b, "%d-%d %s\n", w, i, strings.Repeat("x", i%100)) })
			}
		})
	}
	all.Wait()
	l.close()
	seen := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		key, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if seen[key] || strings.Trim(rest, "x") != "" {
			t.Fatalf("%q", line)
		}
		seen[key] = true
	}
	if len(seen) != writers*each || l.lost.Load() != 0 || l.waiting.Load() != 0 {
		t.Errorf("%d lines, %d lost, %d bytes wait", len(seen), l.lost.Load(), l.waiting.Load())
	}
}

// hungWriter takes nothing until it is let go.
type hungWriter struct{ free chan struct{} }

func (w *hungWriter) Write(p []byte) (int, error) {
	<-w.free
	return len(p), nil
}

// A writer that hangs costs lines and bounded memory; nobody waits for it.
func TestHungLogStopsNobody(t *testing.T) {
	w := &hungWriter{make(chan struct{})}
	l := newAccessLog(w, "n1")
	go l.run()
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 3 * logWaiting / len(line) {
		l.add(func(b []byte) []byte { return append(b, line...) })
	}
	if l.lost.Load() == 0 || l.waiting.Load() > logWaiting+4*logBatch {
		t.Errorf("%d lost, %d bytes wait", l.lost.Load(), l.waiting.Load())
	}
	close(w.free)
	l.close()
}

// The log changes with a revision, and a balancer that stops has written everything.
func TestLogFollowsTheConfiguration(t *testing.T) {
	r, _, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }, func(c *config.Config) {})
	send(t, r, "/json")
	for _, l := range []config.AccessLog{{Format: "combined"}, {Format: "off"}, {Format: "json", Fields: []string{"path"}}} {
		cc = cc.Clone()
		cc.Proxy.AccessLog = l
		r.apply(cc)
		send(t, r, "/"+l.Format, "User-Agent: ua")
	}
	for _, want := range []string{`"path":"/json","proto"`, `"GET /combined HTTP/1.1" 200 5 "-" "ua"`, `{"path":"/json"}`} {
		r.wait(want+" is in the log", func() bool { return strings.Contains(r.accessLog(), want) })
	}
	if log := r.accessLog(); strings.Contains(log, "/off") {
		t.Error(log)
	}
}

func BenchmarkLogLine(b *testing.B) {
	l := newAccessLog(&countWriter{}, "n1")
	go l.run()
	f := newLogFormat(&config.AccessLog{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := &logEntry{time: time.Now(), node: "n1", listener: "web", client: "192.0.2.1", method: "GET", host: "www.example.com", path: "/fortune/cookie", proto: "HTTP/1.1", status: 200, bytes: 1024, took: 1234 * time.Microsecond, cluster: "cluster1", instance: "instance1", assigned: true}
		write := func(b []byte) []byte { return f.line(b, e) }
		for pb.Next() {
			l.add(write)
		}
	})
	b.StopTimer()
	l.close()
}

type countWriter struct{ n int }

func (w *countWriter) Write(p []byte) (int, error) { w.n += len(p); return len(p), nil }
