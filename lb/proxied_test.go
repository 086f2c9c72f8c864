package lb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb/proxyproto"
)

// headerOf is a header that names a client.
func headerOf(version int, client string) string {
	h := proxyproto.Header{Version: version, Source: netip.MustParseAddrPort(client), Destination: netip.MustParseAddrPort("198.51.100.1:443")}
	return string(h.Append(nil))
}

// behindProxy makes 127.0.0.1 a trusted proxy of the listener.
func behindProxy(c *config.Config, mode string) *config.Config {
	c.Listeners[0].ProxyProtocol, c.Listeners[0].TrustedProxies = mode, []string{"127.0.0.1/32"}
	return c
}

// introduced opens a stream that begins with a header.
func (r *rig) introduced(header string) *streamClient {
	r.t.Helper()
	c := r.connect("127.0.0.1")
	if _, err := io.WriteString(c, header); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// TestIntroducedStreams are those of the client that the header names: affinity, bounds and log go by it.
func TestIntroducedStreams(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := behindProxy(streamConf(a, b), "require")
	cc.Listeners[0].Limits.PerClient.Connections = 1
	r := newRig(t, cc)
	on := map[string]string{}
	for round := range 3 {
		for i := range 6 {
			client := fmt.Sprintf("192.0.2.%d", 1+i)
			c := r.introduced(headerOf(1+(round+i)%2, client+":1234") + "with the header\n")
			got := c.line()
			if round > 0 && got != on[client] {
				t.Errorf("%s was on %s and is on %s", client, on[client], got)
			}
			on[client] = got
			if text := c.line(); text != "with the header" {
				t.Errorf("what came with the header: %s", text)
			}
			c.echo("afterwards")
			if other := r.introduced(headerOf(2, client+":9")); !refused(other.line()) {
				t.Error("a client has more than it may have")
			}
			c.Close()
			r.wait("it has ended", func() bool { return r.status("c1", got).InFlight == 0 })
		}
	}
	if len(r.g.sessions()) != 6 {
		t.Errorf("%d sessions", len(r.g.sessions()))
	}
	if log := r.accessLog(); !strings.Contains(log, `"client":"192.0.2.6"`) || strings.Contains(log, `"client":"127.0.0.1"`) {
		t.Error(log)
	}
	for _, nobody := range []string{"PROXY UNKNOWN\r\n", string((&proxyproto.Header{Version: 2}).Append(nil))} {
		if got := r.introduced(nobody).line(); got != "i1" && got != "i2" {
			t.Errorf("%q: %s", nobody, got)
		}
	}
}

// TestHostileIntroductions: whoever may not introduce clients is refused, and so is what is no right header.
func TestHostileIntroductions(t *testing.T) {
	got := make(chan string, 100)
	a := newStreamApp(t, "i1", func(c net.Conn) {
		fmt.Fprintln(c, "i1")
		if all, _ := io.ReadAll(c); len(all) > 0 {
			got <- string(all)
		}
	})
	r := newRig(t, behindProxy(streamConf(a), "require"))
	good := headerOf(1, "192.0.2.1:1")
	for name, header := range map[string]string{
		"no header": "GET / HTTP/1.1\r\n\r\n", "a broken line": "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", "an endless line": "PROXY " + strings.Repeat("x", 200),
		"half a header": good[:20], "nothing": "", "a datagram": strings.Replace(headerOf(2, "192.0.2.1:1"), "\x21\x11", "\x21\x12", 1),
	} {
		c := r.introduced(header)
		c.CloseWrite()
		if text := c.line(); !refused(text) {
			t.Errorf("%s: %s", name, text)
		}
	}
	stranger := r.connect("127.0.0.2")
	io.WriteString(stranger, good)
	if text := stranger.line(); !refused(text) {
		t.Error("a stranger introduces: " + text)
	}

	r.apply(behindProxy(streamConf(a), "accept"))
	if text := r.instanceOf("127.0.0.2"); text != "i1" {
		t.Error("one who is no proxy, and sends no header: " + text)
	}
	byName, byAffinity := behindProxy(streamConf(a), "accept"), behindProxy(streamConf(a), "accept")
	byName.Listeners[0].ServerNames = []config.ServerName{{Name: "shop.example.com", Cluster: "c1"}}
	byAffinity.Clusters[0].Affinity.Type = "sni"
	refusedBefore, forged := metric(t, r, "holdfast_protocol_violations_total", "reason=proxy header"), 0
	for _, cc := range []*config.Config{byName, byAffinity, behindProxy(streamConf(a), "accept")} { // the first two read for a server's name before the instance is connected
		r.apply(cc)
		for _, header := range []string{good, headerOf(2, "192.0.2.1:1")} {
			for _, size := range []int{1, len(header)} {
				stranger := r.connect("127.0.0.2")
				forged++
				for rest := header; rest != ""; rest = rest[size:] {
					if _, err := io.WriteString(stranger, rest[:size]); err != nil {
						break
					}
				}
				if text := stranger.line(); text == "i1" {
					text = stranger.line()
					if !refused(text) {
						t.Error("a stranger introduces: " + text)
					}
				}
			}
		}
		for _, text := range []string{"PROXIMITY", "PROX", "\r\n\r\n\x00\r\nQUIX", "hello"} { // what only looks like one
			for _, size := range []int{1, len(text)} {
				c := r.connect("127.0.0.2")
				for rest := text; rest != ""; rest = rest[size:] {
					io.WriteString(c, rest[:size])
				}
				c.CloseWrite()
				if through := <-got; through != text {
					t.Errorf("%q arrived as %q", text, through)
				}
			}
		}
	}
	for _, mode := range []string{"require", "accept"} {
		r.apply(behindProxy(streamConf(a), mode))
		for _, header := range []string{good, headerOf(2, "192.0.2.1:1")} {
			c := r.introduced(header + headerOf(1, "192.0.2.9:9") + "hello") // the second one is its client's
			forged++
			if text := c.line(); text == "i1" {
				text = c.line()
				if !refused(text) {
					t.Error("a client of a proxy introduces itself: " + text)
				}
			}
			c = r.introduced(header + "PROXIMITY")
			c.CloseWrite()
			if through := <-got; through != "PROXIMITY" {
				t.Errorf("%q", through)
			}
		}
	}
	proxy := r.introduced("hello") // a proxy that sends none
	proxy.CloseWrite()
	if through := <-got; through != "hello" {
		t.Errorf("%q", through)
	}
	select {
	case text := <-got:
		t.Errorf("the instance got %q", text)
	default:
	}
	if refusedBefore < 6 {
		t.Errorf("%v violations", refusedBefore)
	}
	r.wait("every forged header is counted, and nothing else", func() bool {
		return metric(t, r, "holdfast_protocol_violations_total", "reason=proxy header") == refusedBefore+float64(forged)
	})
}

// TestSilentProxy: a proxy that must introduce its connections has as long as a client for its first head; one that only may does not hold up instances that
// speak first for longer.
func TestSilentProxy(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	cc := behindProxy(streamConf(a), "require")
	cc.Proxy.Timeouts.Head = config.Duration(150 * time.Millisecond)
	r := newRig(t, cc)
	if text := r.introduced("PROXY TC").line(); !refused(text) {
		t.Error(text)
	}
	if text := r.introduced("").line(); !refused(text) {
		t.Error(text)
	}
	may := clone(cc)
	may.Listeners[0].ProxyProtocol = "accept"
	r.apply(may)
	if text := r.introduced("").line(); text != "i1" {
		t.Error(text)
	}
}

// readAnswer reads a response with its body.
func readAnswer(t *testing.T, r *bufio.Reader) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// TestIntroducedRequests: on a listener for requests the client is the one that the header names.
func TestIntroducedRequests(t *testing.T) {
	web := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Forwarded-For")) })
	cc := behindProxy(conf(of(web)...), "require")
	cc.Clusters[0].Affinity = config.Affinity{Type: "source", IdleTimeout: config.Duration(30 * time.Minute)}
	cc.Listeners[0].Limits.PerClient.Connections = 1
	r := newRig(t, cc)
	const request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
	for version := 1; version <= 2; version++ {
		c := r.introduced(headerOf(version, "192.0.2.7:4711") + request)
		for i := range 3 {
			if status, body := readAnswer(t, c.r); status != 200 || body != "192.0.2.7" {
				t.Errorf("version %d, request %d: %d %s", version, i, status, body)
			}
			io.WriteString(c, request)
		}
		if status, _ := readAnswer(t, r.introduced(headerOf(2, "192.0.2.7:1")+request).r); status != 429 {
			t.Errorf("a client has more connections than it may have: %d", status)
		}
		c.Close()
		r.wait("its connection has ended", func() bool {
			total, _ := r.b.OpenConnections([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
			return total == 0
		})
	}
	key, err := r.b.SessionKey("c1", "", "/", "192.0.2.7")
	if _, ok := r.g.sessions()[key]; err != nil || !ok || len(r.g.sessions()) != 1 {
		t.Errorf("%d sessions, %v", len(r.g.sessions()), err)
	}
	r.wait("the log is written", func() bool { return strings.Contains(r.accessLog(), `"client":"192.0.2.7"`) })
	for name, header := range map[string]string{"no header": request, "a broken one": "PROXY TCP4 x\r\n" + request} {
		if status, text := readAnswer(t, r.introduced(header).r); status != 0 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}

	open := clone(cc) // without it the same bytes are no request
	open.Listeners[0].ProxyProtocol, open.Listeners[0].TrustedProxies, open.Listeners[0].Limits = "", nil, config.ListenerLimits{}
	r.apply(open)
	if status, _ := readAnswer(t, r.introduced(headerOf(1, "192.0.2.7:4711")+request).r); status != 400 {
		t.Errorf("a header that nobody has asked for: %d", status)
	}
	if status, _ := readAnswer(t, r.introduced(headerOf(2, "192.0.2.7:4711")+request).r); status != 400 {
		t.Errorf("a header that nobody has asked for: %d", status)
	}
	if status, body := readAnswer(t, r.introduced(request).r); status != 200 || body != "127.0.0.1" {
		t.Errorf("%d %s", status, body)
	}
}

// TestInstancesAreTold who the client is, in the version that the cluster names, and checks say that they are nobody.
func TestInstancesAreTold(t *testing.T) {
	for version := 1; version <= 2; version++ {
		headers := make(chan proxyproto.Header, 100)
		a := newStreamApp(t, "i1", func(c net.Conn) {
			h, rest, err := proxyproto.Read(c, nil)
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return // a check that was given up with the balancer, or when the instance ended behind it
			}
			if err != nil {
				t.Error(err)
				return
			}
			headers <- h
			fmt.Fprintln(c, "i1")
			c.Write(rest)
			io.Copy(c, c)
		})
		cc := behindProxy(streamConf(a), "accept")
		cc.Clusters[0].SendProxy = fmt.Sprintf("v%d", version)
		cc.Clusters[0].Health.Interval = config.Duration(20 * time.Millisecond)
		r := newRig(t, cc)
		next := func() proxyproto.Header { // that is not of a check
			for h := range headers {
				if h.Version != version {
					t.Errorf("version %d", h.Version)
				}
				if h.Named() {
					return h
				}
			}
			return proxyproto.Header{}
		}
		if h := <-headers; h.Named() {
			t.Errorf("a check says that it is %v", h.Source)
		}
		c := r.connect("127.0.0.2")
		io.WriteString(c, "early\n")
		if text := c.line() + c.line(); text != "i1early" {
			t.Error(text)
		}
		if h := next(); h.Source != addrPortOf(c.LocalAddr()) || h.Destination != addrPortOf(c.RemoteAddr()) {
			t.Errorf("%+v", h)
		}
		r.introduced(headerOf(2, "192.0.2.7:4711")).line()
		if h := next(); h.Source.String() != "192.0.2.7:4711" || h.Destination.String() != "198.51.100.1:443" {
			t.Errorf("%+v", h)
		}
	}
}
