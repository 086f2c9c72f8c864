//go:build rivals

package rivals

import (
	"cmp"
	"context"
	"crypto/tls"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The work that is compared; a row of the table each.
var works = []struct {
	row  string
	load Load
}{
	{"0.1 KiB, 64 connections", Load{Size: 100, Connections: 66, Took: 2 * time.Second}},
	{"1 KiB, 64", Load{Size: 1 << 10, Connections: 66, Took: 2 * time.Second}},
	{"1 KiB, 512", Load{Size: 1 << 10, Connections: 513, Took: 2 * time.Second}},
	{"16 KiB, 64", Load{Size: 16 << 10, Connections: 66, Took: 2 * time.Second}},
	{"1 MiB, 64", Load{Size: 1 << 20, Connections: 66, Took: 2 * time.Second}},
}

// BenchmarkBesideOthers has every proxy do the same work in turn, once in each iteration, and prints a table. HOLDFAST_BIN, HOLDFAST_BEFORE (of the rival "before") and CADDY_BIN are the
// programs; PROXY_RIVALS, PROXY_PARTS (load, paced, new, idle, tls, h2) and PROXY_ROWS (words of rows of load) choose.
func BenchmarkBesideOthers(b *testing.B) {
	ctx := b.Context()
	stand, err := NewStand(ctx, b.TempDir(), os.Getenv("HOLDFAST_BIN"), os.Getenv("CADDY_BIN"))
	if err != nil {
		b.Fatal(err)
	}
	defer stand.Close()
	stand.Before = os.Getenv("HOLDFAST_BEFORE")
	var rivals []*Rival
	var names []string
	wanted := listed("PROXY_RIVALS", "haproxy", "haproxy-st", "nginx", "caddy", "holdfast")
	makers := slices.DeleteFunc(Makers(), func(m Maker) bool { return !slices.Contains(wanted, m.Name) })
	for _, m := range makers {
		r, err := m.Start(ctx, stand)
		if err != nil {
			b.Fatalf("%s: %v", m.Name, err)
		}
		rivals, names = append(rivals, r), append(names, m.Name)
	}
	table := NewTable(names)
	parts := listed("PROXY_PARTS", "load", "paced", "new", "idle", "tls", "h2")
	run := map[string]func(context.Context, testing.TB, *Stand, []*Rival, *Table){
		"load": loads, "paced": paced, "new": sessions, "h2": http2,
		"idle": func(ctx context.Context, t testing.TB, s *Stand, _ []*Rival, table *Table) {
			idle(ctx, t, s, makers, table)
		},
		"tls": func(ctx context.Context, t testing.TB, s *Stand, rivals []*Rival, table *Table) {
			overTLS(ctx, t, s, rivals, table)
			idleOverTLS(ctx, t, s, makers, table)
		},
	}
	for b.Loop() {
		for _, part := range parts {
			if run[part] == nil {
				b.Fatalf("PROXY_PARTS=%s: there is no such part", part)
			}
			run[part](ctx, b, stand, rivals, table)
		}
	}
	b.Log("\n" + table.String())
}

func listed(name string, fallback ...string) []string {
	return slices.DeleteFunc(strings.Split(cmp.Or(os.Getenv(name), strings.Join(fallback, ",")), ","), func(s string) bool { return s == "" })
}

func loads(ctx context.Context, t testing.TB, s *Stand, rivals []*Rival, table *Table) {
	rows := listed("PROXY_ROWS", "")
	for _, w := range works {
		if len(rows) > 0 && !slices.ContainsFunc(rows, func(word string) bool { return strings.Contains(w.row, word) }) {
			continue
		}
		for _, r := range rivals {
			l := w.load
			l.Cookies = r.Cookies
			f, err := s.Wrk(ctx, r, l)
			if err != nil {
				t.Fatal(err)
			}
			table.Add("processor per request, us: "+w.row, r.Name, float64(f.PerRequest().Nanoseconds())/1000)
			table.Add("requests per second: "+w.row, r.Name, float64(f.Requests)/f.Took.Seconds())
		}
	}
}

func paced(ctx context.Context, t testing.TB, _ *Stand, rivals []*Rival, table *Table) {
	for _, r := range rivals {
		p50, p99, err := Paced(ctx, r, 1000, 16, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		table.Add("1,000 requests/s, p50, us", r.Name, float64(p50.Microseconds()))
		table.Add("1,000 requests/s, p99, us", r.Name, float64(p99.Microseconds()))
	}
}

// sessions compares requests that each begin a session with the same ones where nobody keeps sessions.
func sessions(ctx context.Context, t testing.TB, s *Stand, rivals []*Rival, table *Table) {
	for _, r := range rivals {
		if r.Free == "" {
			continue
		}
		for _, c := range []struct{ row, host string }{{"new sessions per second, a committed assignment each", ""}, {"the same requests without sessions, per second", r.Free}} {
			f, err := s.Wrk(ctx, r, Load{Size: 100, Connections: 513, Took: 2 * time.Second, Host: c.host})
			if err != nil {
				t.Fatal(err)
			}
			table.Add(c.row, r.Name, float64(f.Requests)/f.Took.Seconds())
		}
	}
}

// idle takes new processes: those that have been loaded have memory in reserve.
func idle(ctx context.Context, t testing.TB, s *Stand, makers []Maker, table *Table) {
	for _, m := range makers {
		r, err := m.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := Idle(ctx, r, nil, 5000, 3*time.Second)
		r.Stop()
		if err != nil {
			t.Fatal(err)
		}
		table.Add("KiB per idle connection, of 5,000", r.Name, bytes/1024)
	}
}

// overTLS compares requests on kept connections of TLS 1.3, and connections that are made for one request each: without resumption, by X25519, and by what Go's client offers first
// (X25519MLKEM768, which the others here do not know).
func overTLS(ctx context.Context, t testing.TB, s *Stand, rivals []*Rival, table *Table) {
	for _, r := range rivals {
		if r.Secure == "" {
			continue
		}
		f, err := s.Wrk(ctx, r, Load{Size: 1 << 10, Connections: 66, Took: 2 * time.Second, Cookies: r.Cookies, Secure: true})
		if err != nil {
			t.Fatal(err)
		}
		table.Add("TLS 1.3, processor per request, us: 1 KiB, 64", r.Name, float64(f.PerRequest().Nanoseconds())/1000)
		for _, c := range []struct {
			row    string
			groups []tls.CurveID
		}{{"X25519", []tls.CurveID{tls.X25519}}, {"Go's choice", nil}} {
			f, err := Handshakes(ctx, r, c.groups, 8, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			table.Add("processor per full handshake and request, us: "+c.row, r.Name, float64(f.PerRequest().Nanoseconds())/1000)
		}
	}
}

func idleOverTLS(ctx context.Context, t testing.TB, s *Stand, makers []Maker, table *Table) {
	for _, m := range makers {
		r, err := m.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		if r.Secure != "" {
			bytes, err := Idle(ctx, r, TLS13(nil), 2000, 3*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			table.Add("KiB per idle connection with TLS 1.3, of 2,000", r.Name, bytes/1024)
		}
		r.Stop()
	}
}

// http2 compares requests of HTTP/2, in clear text and over TLS.
func http2(ctx context.Context, t testing.TB, s *Stand, rivals []*Rival, table *Table) {
	for _, c := range []struct {
		row    string
		secure bool
	}{{"in clear text", false}, {"TLS 1.3", true}} {
		for _, r := range rivals {
			f, err := s.H2(ctx, r, c.secure, 1<<10, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			table.Add("HTTP/2, processor per request, us: 1 KiB, "+c.row, r.Name, float64(f.PerRequest().Nanoseconds())/1000)
			table.Add("HTTP/2, requests per second: 1 KiB, "+c.row, r.Name, float64(f.Requests)/f.Took.Seconds())
		}
	}
}
