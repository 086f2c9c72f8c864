package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func withStore(store string) string {
	return "clusters: [{name: a, modules: [{contextRoot: /shop, store: " + store + "}]}]"
}

// TestStoreDefaults: TC-15, TC-19. A module has no store unless the configuration gives it one; then a value has 64 KiB at most.
func TestStoreDefaults(t *testing.T) {
	if m := mustParse(t, "clusters: [{name: a, modules: [{contextRoot: /shop}]}]").Clusters[0].Modules[0]; m.Store != nil {
		t.Errorf("%+v", m.Store)
	}
	if m := mustParse(t, withStore("null")).Clusters[0].Modules[0]; m.Store != nil {
		t.Errorf("%+v", m.Store)
	}
	c := mustParse(t, withStore("{sessions: true}"))
	want := Store{Sessions: true, MaxValue: 64 << 10, MaxBytes: 64 << 20}
	if got := c.Clusters[0].Modules[0].Store; got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if text := string(c.Canonical()); !strings.Contains(text, `"store":{"sessions":true,"kv":false,"copies":"all","maxValue":"64KiB","maxBytes":"64MiB"}`) {
		t.Error(text)
	}
}

// TestStoreFaults: what is out of range is refused with its place and with what would be right.
func TestStoreFaults(t *testing.T) {
	for store, want := range map[string]string{
		"{}": "neither the data of sessions nor keys", "{sessions: false}": "neither the data of sessions nor keys",
		"{kv: true, maxValue: 2MiB}": "maxValue: 2MiB is out of range", "{kv: true, maxValue: 0}": "maxValue: 0B is out of range",
		"{kv: true, maxBytes: 1GiB}": "maxBytes: 1GiB is out of range", "{kv: true, maxBytes: 1KiB}": "maxBytes: 1KiB is out of range",
		"{kv: yes}": "kv", "{kv: true, maxValue: -1}": "maxValue", "{kv: true, copies: 3}": "neither all nor 2", `{kv: true, copies: ""}`: "neither all nor 2", "{kv: true, copies: [2]}": "copies", "{kv: true, copies: 2.0}": "neither all nor 2", "{kv: true, copies: null}": "copies", "{kv: true, copy: 2}": "copy", "[]": "store", "true": "store",
	} {
		if _, err := Parse("f.yaml", []byte(withStore(store))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", store, err, want)
		}
	}
}

// TestStoreEdits: fields of the store are set one by one, and null takes it away.
func TestStoreEdits(t *testing.T) {
	c := mustParse(t, withStore("{sessions: true, maxBytes: 1MiB}"))
	edit := func(c *Config, values string) *Config {
		t.Helper()
		next, err := c.Apply([]Edit{{Op: "set", Kind: "module", Cluster: "a", ContextRoot: "/shop", Values: json.RawMessage(values)}})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	next := edit(c, `{"store":{"kv":true}}`)
	if got := next.Clusters[0].Modules[0].Store; got == nil || !got.KV || !got.Sessions || got.MaxBytes != 1<<20 {
		t.Fatalf("%+v", got)
	}
	changes := Diff(c, next)
	if len(changes) != 1 || changes[0].Field != "store.kv" || string(changes[0].To) != "true" {
		t.Errorf("%+v", changes)
	}
	if got := edit(next, `{"store":null}`).Clusters[0].Modules[0].Store; got != nil {
		t.Errorf("%+v", got)
	}
	if c.Clusters[0].Modules[0].Store.KV {
		t.Error("the configuration before has changed")
	}
	cl := next.Clone()
	cl.Clusters[0].Modules[0].Store.KV = false
	if !next.Clusters[0].Modules[0].Store.KV {
		t.Error("a clone shares the store")
	}
}

// TestStoreCopies: TC-28. All nodes have the bytes of a value unless the configuration says that two are enough; what is written is read again, whoever wrote it.
func TestStoreCopies(t *testing.T) {
	for text, want := range map[string]Copies{"{kv: true}": CopiesAll, "{kv: true, copies: all}": CopiesAll, "{kv: true, copies: 2}": CopiesTwo, `{kv: true, copies: "2"}`: CopiesTwo} {
		c := mustParse(t, withStore(text))
		if got := c.Clusters[0].Modules[0].Store.Copies; got != want {
			t.Errorf("%s: %s", text, got)
		}
		again := mustParse(t, string(c.Canonical()))
		if got := again.Clusters[0].Modules[0].Store.Copies; got != want {
			t.Errorf("%s: %s after writing and reading", text, got)
		}
	}
	c := mustParse(t, withStore("{kv: true}"))
	for _, value := range []string{"2", `"2"`} {
		next, err := c.Apply([]Edit{{Op: "set", Kind: "module", Cluster: "a", ContextRoot: "/shop", Values: json.RawMessage(`{"store":{"copies":` + value + `}}`)}})
		if err != nil {
			t.Fatal(err)
		}
		if changes := Diff(c, next); len(changes) != 1 || changes[0].Field != "store.copies" || string(changes[0].From) != `"all"` || string(changes[0].To) != `"2"` {
			t.Errorf("%s: %+v", value, changes)
		}
	}
}
