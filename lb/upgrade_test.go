package lb

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wsEcho switches protocols and echoes bytes: to a proxy that is what a WebSocket is.
func wsEcho(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.WriteHeader(400)
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello ")
	io.Copy(conn, rw)
}

const wsRequest = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

func TestWebSocketEcho(t *testing.T) {
	a := newApp(t, "i1", wsEcho)
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write(wsRequest + "early ") // bytes right behind the request belong to the new protocol
	resp := c.response()
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-Websocket-Accept") != "x" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	if cookieNamed(reply{resp, ""}, "HOLDFAST") == nil || len(r.g.sessions()) != 1 {
		t.Error("the new session is not recorded")
	}
	want := func(s string) {
		t.Helper()
		got := make([]byte, len(s))
		if _, err := io.ReadFull(c.in, got); err != nil || string(got) != s {
			t.Fatalf("%q %v, want %q", got, err, s)
		}
	}
	want("hello early ")
	for range 3 {
		c.write("\x81\x00ping")
		want("\x81\x00ping")
	}
	if s := r.status("c1", "i1"); s.InFlight != 1 {
		t.Errorf("in flight: %d", s.InFlight)
	}
	c.Close()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("log line", func() bool { return strings.Contains(r.accessLog(), `"status":101`) })
}

func TestUpgradeRefusedByTheInstance(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) })
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write(wsRequest)
	if got := c.response(); got.StatusCode != 403 {
		t.Fatal(got.StatusCode)
	}
	if a.header().Get("Connection") != "Upgrade" || a.header().Get("Upgrade") != "websocket" {
		t.Errorf("%v", a.header())
	}
}

func TestSwitchThatNobodyAskedFor(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	})
	r := newRig(t, conf(of(a)...))
	if got := newClient(t).get(r.url("/")); got.StatusCode != 502 {
		t.Fatal(got.StatusCode)
	}
}

func TestHTTP2UpgradeIsNotPassedOn(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	if got := c.response(); got.StatusCode != 200 || a.header().Get("Upgrade") != "" || a.header().Get("Http2-Settings") != "" {
		t.Fatalf("%d %v", got.StatusCode, a.header())
	}
}

// TestOldVersionCannotUpgrade: RFC 9110 7.8 has Upgrade ignored in HTTP/1.0.
func TestOldVersionCannotUpgrade(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if got := c.response(); got.StatusCode != 200 || a.header().Get("Upgrade") != "" {
		t.Fatalf("%d %v", got.StatusCode, a.header())
	}
}

func TestShutdownEndsTunnels(t *testing.T) {
	a := newApp(t, "i1", wsEcho)
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write(wsRequest)
	if c.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.b.Shutdown(ctx); err == nil {
		t.Error("Shutdown did not say that it had to close something")
	}
	if _, err := io.ReadAll(c.in); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}
