package lb

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func opFor(i int) fsm.SessionOp {
	return fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{byte(i), byte(i >> 8), byte(i >> 16)}, Instance: 1}
}

func BenchmarkCookieSeal(b *testing.B) {
	k, scope := testKeyring(b, "secret"), scopeOf("c1", "", "/")
	b.ReportAllocs()
	for b.Loop() {
		k.seal(Cookie{Epoch: 1, Index: 2, Instance: 3}, scope)
	}
}

func BenchmarkCookieOpen(b *testing.B) {
	k, scope := testKeyring(b, "secret"), scopeOf("c1", "", "/")
	value := k.seal(Cookie{Epoch: 1, Index: 2, Instance: 3}, scope)
	b.ReportAllocs()
	for b.Loop() {
		k.open(value, scope)
	}
}

func BenchmarkLearnKey(b *testing.B) {
	k, scope := testKeyring(b, "secret"), scopeOf("c1", "", "/")
	b.ReportAllocs()
	for b.Loop() {
		k.sessionKey(scope, "ABCDEF0123456789ABCDEF0123456789")
	}
}

// BenchmarkDecide is what Holdfast adds to an assigned request besides moving its bytes.
func BenchmarkDecide(b *testing.B) {
	r := newRig(b, conf(inst("i1", "http://127.0.0.1:1")))
	keys, err := r.b.keys()
	if err != nil {
		b.Fatal(err)
	}
	(*r.b.routing.Load().clusters["c1"].instances[0].state.endpoints.Load())[0].health.isUp.Store(true)
	op := opFor(1)
	r.g.with(func() { r.g.applyOp(op) })
	req, _ := http.NewRequest("GET", "http://h/", nil)
	req.Header.Set("Cookie", "HOLDFAST="+keys.seal(Cookie{Epoch: 1, Index: 1, Instance: 1, Key: op.Key}, scopeOf("c1", "", "/")))
	x := exchangeOf(r.b, req)
	b.ReportAllocs()
	for b.Loop() {
		x.keys, x.rt = keys, r.b.routing.Load()
		if !x.known(x.rt.match(req.Host, routingPath(req.URL))) {
			b.Fatal("not assigned")
		}
	}
}

// BenchmarkAssignedRequest is a whole assigned request, client and instance in the same process.
func BenchmarkAssignedRequest(b *testing.B) {
	body := make([]byte, 1024)
	a := newApp(b, "i1", func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
	cc := conf(of(a)...)
	cc.Clusters[0].ResponseTimeout, cc.Clusters[0].BodyBuffer = config.Duration(time.Minute), 64<<10 // the defaults
	r := newRig(b, cc)
	first := newClient(b).get(r.url("/"))
	request := fmt.Sprintf("GET / HTTP/1.1\r\nHost: h\r\nCookie: HOLDFAST=%s\r\n\r\n", cookieNamed(first, "HOLDFAST").Value)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c := dialRaw(b, r)
		in := bufio.NewReader(c.Conn)
		for pb.Next() {
			c.write(request)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
		}
	})
}
