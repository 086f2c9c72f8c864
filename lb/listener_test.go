package lb

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestBindIsTriedUntilTheAddressIsFree(t *testing.T) {
	squatter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cc := conf()
	_, port, _ := net.SplitHostPort(squatter.Addr().String())
	cc.Listeners[0].Address = ":" + port // takes its host from the node's bind address
	g := newFakeGroup(cc)
	n := g.node()
	b := New(Options{View: n, Recorder: n, Changed: n.changed, BindAddress: "127.0.0.1"})
	if b.Ready() == nil {
		t.Error("ready before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "the reason", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "listener web") && strings.Contains(err.Error(), "in use") &&
			strings.Contains(err.Error(), "something listens on "+squatter.Addr().String())
	})
	if err := b.Serving(); err == nil || !strings.Contains(err.Error(), "listener web") {
		t.Errorf("serving without any listener: %v", err)
	}
	squatter.Close()
	eventually(t, "bound", func() bool { return b.Ready() == nil })
	if err := b.Serving(); err != nil {
		t.Errorf("not serving: %v", err)
	}
	if b.Addr("web").String() != "127.0.0.1:"+port {
		t.Error(b.Addr("web"))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
		t.Errorf("the address is not free after Run: %v", err)
	} else {
		ln.Close()
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	cc := conf()
	cc.Listeners = []config.Listener{{Name: "bad", Address: "nonsense"}, {Name: "tls", Address: "127.0.0.1:0", Protocol: "https"}, {Name: "odd", Address: "127.0.0.1:0", Protocol: "gopher"}}
	g := newFakeGroup(cc)
	n := g.node()
	b := New(Options{View: n, Recorder: n, Changed: n.changed})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "all reasons", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "listener bad") && strings.Contains(err.Error(), "gopher is not supported") && strings.Contains(err.Error(), errNoCertificate.Error())
	})
	cancel()
	<-done
}

// TestOneListenerOfTwo: a node that is not ready may take requests all the same.
func TestOneListenerOfTwo(t *testing.T) {
	cc := conf()
	cc.Listeners = []config.Listener{{Name: "bad", Address: "nonsense"}, {Name: "web", Address: "127.0.0.1:0", Protocol: "http"}}
	n := newFakeGroup(cc).node()
	b := New(Options{View: n, Recorder: n, Changed: n.changed})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if b.Serving() == nil {
		t.Error("serving before Run")
	}
	go func() { done <- b.Run(ctx) }()
	eventually(t, "the good one is bound", func() bool { return b.Serving() == nil })
	if err := b.Ready(); err == nil || !strings.Contains(err.Error(), "listener bad") || b.Addr("web") == nil {
		t.Errorf("ready: %v", err)
	}
	cancel()
	<-done
	if b.Serving() == nil {
		t.Error("serving after Run")
	}
}

func TestSocketsIn(t *testing.T) {
	table := "  sl  local_address rem_address   st\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 00000000:1F90 00000000:0000 0A 0\n   2: 0100007F:1F90 0100007F:9999 01 0\n" +
		"   3: 00000000000000000000000001000000:1F90 0:0 0A\n   4: 0100007F:1F91 00000000:0000 0A 0\n   6: 0100007F:1F90 0100007F:9999 03 0\n   x\n   5: zz:1F90 x 0A\n"
	got := strings.Join(socketsIn(table, stateListening, 8080), " ")
	if got != "127.0.0.1:8080 0.0.0.0:8080 [::1]:8080" {
		t.Error(got)
	}
	if got := strings.Join(socketsIn(table, stateHandshake, 8080), " "); got != "127.0.0.1:8080" {
		t.Error(got)
	}
}

func TestFrontAddress(t *testing.T) {
	for _, c := range [][3]string{{":80", "127.0.0.2", "127.0.0.2:80"}, {":80", "", ":80"}, {"10.0.0.1:80", "127.0.0.2", "10.0.0.1:80"}, {":80", "::1", "[::1]:80"}} {
		if got, err := frontAddress(c[0], c[1]); err != nil || got != c[2] {
			t.Errorf("%v: %s %v", c, got, err)
		}
	}
	if _, err := frontAddress("80", ""); err == nil {
		t.Error("an address without a port")
	}
}

func TestNoGroupYet(t *testing.T) {
	a := newApp(t, "i1", nil)
	g := newFakeGroup(conf(of(a)...))
	var group *fsm.Group
	g.with(func() { group, g.group = g.group, nil })
	r := newRigOn(t, g, Options{})
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Fatal(got.StatusCode)
	}
	g.with(func() { g.group = group })
	if got := newClient(t).get(r.url("/")); got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
}
