package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What the version before this one wrote means the defaults where it has no keys, and not their zero values.
func TestLoadEarlierVersion(t *testing.T) {
	for _, name := range []string{"product", "inherit"} {
		raw, err := os.ReadFile("testdata/earlier/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		want, err := Parse("", text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Load(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
		}
		for _, key := range []string{"responseTimeout", "passive", "bodyBuffer", "onSessionLost", "maxSessions", "holder", "proxy", "limits", "trustedProxies"} {
			if strings.Contains(string(raw), key) {
				t.Errorf("%s.json has %q: it is of this version", name, key)
			}
		}
	}
}

func TestLoadDefaultsAtEveryLevel(t *testing.T) {
	c, err := Load([]byte(`{"clusters":[{"name":"a","quiesceTimeout":"5m","modules":[{"contextRoot":"/","idempotent":[{"pattern":"/x"}]}],"instances":[{"name":"i","listeners":["http://h:1"]}]}],"listeners":[{"name":"w","address":":80"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	k := c.Clusters[0]
	if c.OnQuorumLoss != "provisional" || !reflect.DeepEqual(c.Holder, Holder{Settle: Duration(time.Minute)}) || !reflect.DeepEqual(c.Proxy, defaultProxy()) || c.Listeners[0].Protocol != "http" || k.ResponseTimeout != Duration(60*time.Second) || k.BodyBuffer != 64<<10 ||
		k.Health.PassiveFails != 1 || k.Affinity.Name != "HOLDFAST" || k.Registration.DropAfter != Duration(3*time.Second) ||
		k.Modules[0].Idempotent[0].Retries != -1 || k.Modules[0].QuiesceTimeout != Duration(5*time.Minute) || k.Instances[0].Route != "i" || k.Instances[0].Weight != 1 {
		t.Errorf("got %s", c.Canonical())
	}
	if c, err := Load([]byte("{}")); err != nil || !reflect.DeepEqual(c, Empty()) {
		t.Errorf("{} gives %+v, %v", c, err)
	}
}

// A later version may have written it: what is unknown is ignored, and what this version would refuse is taken.
func TestLoadValidatesNothing(t *testing.T) {
	c, err := Load([]byte(`{"later":{"a":[1,{"b":null}]},"clusters":[{"name":"a","policy":"quantum","later":[[[]]],"health":{"later":1},"bodyBuffer":"1GiB","instances":[{"name":"i","weight":5000,"later":true}]}],"listeners":null}`))
	if err != nil {
		t.Fatal(err)
	}
	k := c.Clusters[0]
	if k.Policy != "quantum" || k.BodyBuffer != 1<<30 || k.Instances[0].Weight != 5000 || k.Health.Type != "http" || c.Listeners == nil {
		t.Errorf("got %s", c.Canonical())
	}
}

func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "EOF",
		"[]":                             "must be a mapping",
		"null":                           "there is none",
		"5":                              "must be a mapping",
		"{":                              "unexpected EOF",
		"{} {}":                          "more text after the end",
		"a: b":                           "invalid character",
		"{\"\"}":                         "invalid character",
		`{"clusters":5}`:                 "must be a list",
		`{"clusters":[{"slowStart":5}]}`: "needs a unit",
		`{"clusters":[{"instances":[{"weight":1e99}]}]}`:                    "not a whole number",
		`{"clusters":[{"name":"a","name":"b"}]}`:                            "twice",
		strings.Repeat("[", 200_000):                                        "exceeded max depth",
		`{"x":` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + "}": "nested more than 32 levels",
		`{"x":"` + strings.Repeat("x", MaxInput) + `"}`:                     "at most 4194304 are read",
		"{\"x\":\"\x00\"}":                                                  "invalid character",
	} {
		c, err := Load([]byte(text))
		if err == nil || c != nil || !strings.HasPrefix(err.Error(), "load configuration: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, file := range []string{"testdata/earlier/product.json", "testdata/earlier/inherit.json", "testdata/product.want", "testdata/operating.want", "testdata/same.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"clusters":[{"instanceTemplate":{"weight":3},"instances":[{"name":"i"}]},null],"x":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load(data)
		if err != nil {
			return
		}
		canonical := c.Canonical()
		again, err := Load(canonical)
		if len(canonical) <= MaxInput && (err != nil || string(again.Canonical()) != string(canonical)) {
			t.Errorf("%s\ngives %v\n%s", canonical, err, again.Canonical())
		}
		// Whatever is loaded, nothing that looks at it may panic.
		c.Warnings()
		c.YAML()
		if d := Diff(c, c); c.Validate() == nil && len(d) != 0 {
			t.Errorf("differs from itself: %+v", d)
		}
	})
}
