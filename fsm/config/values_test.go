package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestHealthURL(t *testing.T) {
	for _, c := range [][3]string{
		{"http://www.example.com:80", "/fortune", "http://www.example.com:80/fortune"}, // the document's own example (SUN-09)
		{"http://www.example.com:80/", "/fortune", "http://www.example.com:80/fortune"},
		{"https://[::1]:9441", "/", "https://[::1]:9441/"},
		{"http://10.0.0.1:8080", "/a/b?c=d", "http://10.0.0.1:8080/a/b?c=d"},
		{"HTTP://Host:80", "/", "http://host:80/"},
	} {
		if got, err := HealthURL(c[0], c[1]); err != nil || got != c[2] {
			t.Errorf("HealthURL(%q, %q) = %q, %v, want %q", c[0], c[1], got, err, c[2])
		}
	}
	for _, c := range [][2]string{{"http://h:80", "fortune"}, {"http://h:80", ""}, {"http://h:80", "/a b"}, {"http://h:80", "/a\r\nX: y"}, {"http://h:80", "/#x"}, {"http://h", "/"}, {"", "/"}} {
		if got, err := HealthURL(c[0], c[1]); err == nil {
			t.Errorf("HealthURL(%q, %q) = %q", c[0], c[1], got)
		}
	}
}

func TestEndpointErrorsHideThePassword(t *testing.T) {
	_, err := Parse("", []byte("clusters: [{name: a, instances: [{name: i, listeners: ['http://user:hunter2@h:80']}]}]"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestEndpointRefuses(t *testing.T) {
	for _, text := range []string{
		"http://", "http://:80", "http://h:", "http://h:0", "http://h:080", "http://h:65536", "http://h:-1", "http://h:http", "http://h:８０",
		"http://h:80//", "http://h:80/.", "http://h:80\\x", "http://h :80", "http://h%41:80", "http://ü:80", "http://-h:80", "http://h-:80", "http://h..a:80",
		"http://[::1:80", "http://[::1]80", "http://[::1%25eth0]:80", "http://[h]:80", "http://::1:80", "http://[1.2.3.4]:80", "http://1.2.3:80", "http://256.1.1.1:80",
		"//h:80", "h:80", "http:h:80", "ws://h:80", "http://" + strings.Repeat("a", 64) + ":80", "http://" + strings.Repeat("a.", 140) + "a:80", "http://h:80\n", "http://h:8\x000",
	} {
		if got, _, err := parseEndpoint(text); err == nil {
			t.Errorf("%q gives %q", text, got)
		}
	}
}

func TestExpect(t *testing.T) {
	for text, in := range map[string][]int{
		"100-500":         {100, 200, 404, 500},
		"200,204,300-399": {200, 204, 300, 399},
		" 200 , 599 ":     {200, 599},
		"100-599":         {100, 599},
	} {
		s, err := ParseExpect(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for _, code := range in {
			if !s.Contains(code) {
				t.Errorf("%q lacks %d", text, code)
			}
		}
	}
	s, _ := ParseExpect("100-500")
	for _, code := range []int{-1, 0, 99, 501, 599, 600, 1 << 40} {
		if s.Contains(code) {
			t.Errorf("100-500 has %d", code)
		}
	}
	for _, text := range []string{"", ",", "200,", "99", "600", "0200", "2xx", "200-", "-200", "300-200", "200-300-400", "+20", "20 0", "２００", strings.Repeat("200,", 300) + "200"} {
		if got, err := ParseExpect(text); err == nil || got != (StatusSet{}) {
			t.Errorf("%q: accepted", text)
		}
	}
}

func FuzzParseExpect(f *testing.F) {
	f.Add("100-500")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseExpect(text); err == nil && s == (StatusSet{}) {
			t.Error("accepted but empty")
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	f.Add("http://h:80/")
	f.Add("https://[::1]:443")
	f.Fuzz(func(t *testing.T, text string) {
		u, hp, err := parseEndpoint(text)
		if err != nil {
			return
		}
		if v, hp2, err := parseEndpoint(u); err != nil || v != u || hp2 != hp {
			t.Errorf("%q gives %q, which gives %q, %v", text, u, v, err)
		}
	})
}

func TestDurations(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"30m": 30 * time.Minute, "31m": 31 * time.Minute, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "1h": time.Hour,
		"1h0m5s": time.Hour + 5*time.Second, "250ms": 250 * time.Millisecond, "0s": 0, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "-1m": -time.Minute,
	} {
		if got := Duration(d).String(); got != text {
			t.Errorf("%v is written %q, want %q", d, got, text)
		}
		b, err := json.Marshal(Duration(d))
		var back Duration
		if err != nil || string(b) != `"`+text+`"` || json.Unmarshal(b, &back) != nil || back != Duration(d) {
			t.Errorf("JSON of %v: %s, %v, back %v", d, b, err, back)
		}
	}
	var d Duration
	if err := d.UnmarshalText([]byte("31")); err == nil {
		t.Error("takes a number without a unit")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"health", "instances", "quiesceTimeout", "name", "zone"}
	for in, want := range map[string]string{"helth": "health", "instance": "instances", "quiesce-timeout": "quiesceTimeout", "NAME": "name", "x": "", "nm": "", "": "", "healthcheck": "", "zne": "zone", "nmae": "name", "enam": ""} {
		if got := nearest(in, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
