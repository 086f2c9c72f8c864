// Command relay is the engine alone, with the smallest director there is: sticky by a cookie that names the instance. It is for measurements of the
// engine beside other proxies, and no part of the product.
//
//	relay -listen 127.0.0.1:8080 -backends 127.0.0.1:9001,127.0.0.1:9002
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address for clients")
	backends := flag.String("backends", "", "addresses of instances, separated by commas")
	loops := flag.Int("loops", 0, "event loops; 0: one for each processor")
	procs := flag.Int("procs", 0, "GOMAXPROCS; 0: processors and loops together")
	debug := flag.String("pprof", "", "address of the profiler")
	beat := flag.Bool("pulse", false, "print how long other goroutines of the process wait")
	flag.Parse()
	if *beat {
		go func() { log.Print(pulse()) }()
	}
	if err := run(*listen, *backends, *loops, *procs, *debug); err != nil {
		log.Fatal(err)
	}
}

func run(listen, backends string, loops, procs int, debug string) error {
	d := &director{}
	for a := range strings.SplitSeq(backends, ",") {
		addr, err := netip.ParseAddrPort(a)
		if err != nil {
			return fmt.Errorf("-backends: %w", err)
		}
		d.origins = append(d.origins, h1.NewOrigin(addr))
	}
	if loops == 0 {
		loops = runtime.NumCPU()
	}
	if procs == 0 {
		procs = runtime.NumCPU() + loops
	}
	runtime.GOMAXPROCS(procs)
	if debug != "" {
		go func() { log.Print(http.ListenAndServe(debug, nil)) }()
	}
	e, err := h1.New(h1.Options{Director: d, Loops: loops, Limits: h1.Limits{Wire: wire.Limits{HTTP2: true}}})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	on, err := e.Listen(ln)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	<-ctx.Done()
	on.Stop()
	late, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return e.Close(late)
}

// director sends a request to the instance that its cookie SRV=n names, any other to the next one, with a cookie.
type director struct {
	origins []*h1.Origin
	next    atomic.Uint64
}

func (d *director) Accept(*h1.Conn, net.Listener) bool { return true }
func (d *director) Mux(*h1.Conn) bool                  { return true }
func (d *director) Stream(*h1.Conn, *h1.Conn)          {}
func (d *director) Bridge(_ *h1.Conn, fd int)          { syscall.Close(fd) }
func (d *director) Detour(*h1.Conn, uint32) bool       { return false }
func (d *director) Gone(*h1.Conn)                      {}
func (d *director) Done(*h1.Trip)                      {}

func (d *director) Direct(t *h1.Trip) h1.Verdict {
	n := d.wanted(t)
	if t.Note = nil; n < 0 {
		n = int(d.next.Add(1) % uint64(len(d.origins)))
		t.Reply.AddString("Set-Cookie", fmt.Sprintf("SRV=%d; Path=/", n))
	}
	t.To = d.origins[n]
	t.Timeout = time.Minute
	var text [64]byte
	t.Edit.Add("X-Forwarded-For", t.Conn.Remote.Addr().AppendTo(text[:0]))
	t.Edit.AddString("X-Forwarded-Proto", "http")
	t.Edit.Add("X-Forwarded-Host", t.Head.Host.Of(t.Buf))
	return h1.Forward
}

// wanted gives the instance of the cookie, -1 when there is none.
func (d *director) wanted(t *h1.Trip) int {
	for _, f := range t.Head.Fields() {
		if f.Name.Len != 6 || !strings.EqualFold(string(f.Name.Of(t.Buf)), "cookie") {
			continue
		}
		v := f.Value.Of(t.Buf)
		if i := bytes.Index(v, []byte("SRV=")); i >= 0 && i+4 < len(v) {
			if n := int(v[i+4] - '0'); n >= 0 && n < len(d.origins) {
				return n
			}
		}
	}
	return -1
}

func (d *director) Interim(*h1.Trip, *h1.Edits, []wire.Field, []byte) {}

func (d *director) Answer(*h1.Trip) h1.Verdict { return h1.Forward }

func (d *director) Failed(t *h1.Trip, _ h1.Failure, _ error) h1.Verdict {
	if t.Whole && t.Reused && !t.Heard {
		return h1.Forward
	}
	return h1.Refuse
}

// Away closes: there is no other engine here.
func (d *director) Away(_ *h1.Conn, fd int, _ []byte) { syscall.Close(fd) }
