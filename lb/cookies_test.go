package lb

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func scanAll(h http.Header, name string) []string {
	var all []string
	scan := scanCookies(h["Cookie"], name)
	for v, ok := scan.next(); ok; v, ok = scan.next() {
		all = append(all, v)
	}
	return all
}

func TestScanCookies(t *testing.T) {
	long := strings.Repeat("x", maxSessionIDLen+1)
	for line, want := range map[string][]string{
		"": nil, "S=1": {"1"}, "a=b; S=1; c": {"1"}, "S=1;S=2": {"1", "2"}, " S = 1 ": {"1"}, `S="q"`: {"q"}, `S="`: {`"`}, "S=": nil,
		"S": nil, "s=1": nil, "SS=1": nil, "S=a=b": {"a=b"}, ";;;S=1;;": {"1"}, "S=" + long + "; S=1": {"1"},
		strings.Repeat("S=1;", 50): slices.Repeat([]string{"1"}, maxCandidates),
	} {
		if got := scanAll(http.Header{"Cookie": {line}}, "S"); !slices.Equal(got, want) {
			t.Errorf("%.40q: %v, want %v", line, got, want)
		}
	}
	if got := scanAll(http.Header{"Cookie": {"S=1", "", "x=y", "S=2"}}, "S"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("several lines: %v", got)
	}
}

func TestSetCookie(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"S=1": "S 1", "S=1; Path=/; HttpOnly": "S 1", `S="1"`: "S 1", " S = 1 ;x": "S 1", "S=a=b": "S a=b", "S=": "", "=1": "", "S": "", "": "",
		"S=1; Max-Age=0": "", "S=1; max-age=-5": "", "S=1; Max-Age=60": "S 1", "S=1; Max-Age=x": "S 1",
		"S=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT": "", "S=1; Expires=Thu, 01-Jan-1970 00:00:10 GMT": "",
		"S=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT": "S 1", "S=1; Expires=never": "S 1",
		"S=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT": "S 1", "S=1; Max-Age=0; Expires=Thu, 01 Jan 2099 00:00:00 GMT": "",
	} {
		name, value, ok := setCookie(line, now)
		if got := strings.TrimSpace(name + " " + value); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzScanCookies(f *testing.F) {
	f.Add("S=1; a=b")
	f.Add(`S="1";;S=`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, v := range scanAll(http.Header{"Cookie": {line, line}}, "S") {
			if v == "" || len(v) > maxSessionIDLen || strings.Contains(v, ";") || !strings.Contains(line, v) {
				t.Fatalf("value %q of %q", v, line)
			}
		}
	})
}

func FuzzSetCookie(f *testing.F) {
	for _, s := range []string{"S=1; Max-Age=0", `S="1"; Expires=Thu, 01-Jan-1970 00:00:10 GMT`, "=;="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		name, value, ok := setCookie(line, time.Unix(0, 0))
		if ok != (name != "" && value != "") || strings.Contains(name+value, ";") || len(value) > maxSessionIDLen {
			t.Fatalf("%q %q %v of %q", name, value, ok, line)
		}
		// net/http's own parser must agree on what it takes
		if c, err := http.ParseSetCookie(line); err == nil && ok && (c.Name != name || strings.TrimSpace(c.Value) != value) && !strings.ContainsAny(line, "\"") {
			t.Fatalf("%q=%q, net/http has %q=%q of %q", name, value, c.Name, c.Value, line)
		}
	})
}
