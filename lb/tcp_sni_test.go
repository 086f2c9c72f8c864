package lb

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// newTLSApp is an instance that ends TLS itself and answers with its name.
func newTLSApp(t *testing.T, name string) config.Instance {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", name, r.TLS.ServerName)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // checks look at the certificate, and go
	s.StartTLS()
	t.Cleanup(s.Close)
	return inst(name, "tcp://"+s.Listener.Addr().String())
}

// getTLS asks for a server, from an address of this machine.
func (r *rig) getTLS(from, server string) string {
	r.t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: d.DialContext, TLSClientConfig: &tls.Config{ServerName: server, InsecureSkipVerify: true}}
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get("https://" + r.addr())
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// TestTLSIsPassedOnByServerName: to the cluster that the name leads to, and inside it to one instance for each name.
func TestTLSIsPassedOnByServerName(t *testing.T) {
	cc := streamConf()
	cc.Listeners[0].ServerNames = []config.ServerName{{Name: "shop.example.com", Cluster: "shop"}, {Name: "*.example.com", Cluster: "all"}, {Name: "*.deep.example.com", Cluster: "shop"}}
	cluster := func(name string) config.Cluster {
		k := clone(cc).Clusters[0]
		k.Name, k.Affinity.Type = name, "sni"
		k.Instances = []config.Instance{newTLSApp(t, name+"1"), newTLSApp(t, name+"2")}
		return k
	}
	cc.Clusters = []config.Cluster{cluster("c1"), cluster("shop"), cluster("all")}
	g := newFakeGroup(cc)
	rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{Node: "node2"})}
	on := map[string]string{}
	for round := range 4 {
		for server, in := range map[string]string{
			"shop.example.com": "shop", "a.example.com": "all", "b.example.com": "all", "a.b.example.com": "all", "x.deep.example.com": "shop", "deep.example.com": "all",
			"example.com": "c1", "other.org": "c1", "com": "c1",
		} {
			got := rigs[round%2].getTLS(fmt.Sprintf("127.0.0.%d", 1+round), server)
			if !strings.HasPrefix(got, in) || !strings.HasSuffix(got, " for "+server) || round > 0 && got != on[server] {
				t.Errorf("%s: %s, and before %s", server, got, on[server])
			}
			on[server] = got
		}
	}
	if n := len(g.sessions()); n != 9 {
		t.Errorf("%d sessions", n)
	}
	if key, err := rigs[0].b.SessionKey("shop", "", "", "SHOP.example.com"); err != nil {
		t.Error(err)
	} else if _, ok := g.sessions()[key]; !ok {
		t.Error("an operator does not find the session by the server's name")
	}
}

// TestStreamsWithoutAServerName go where the listener leads, and leave no record; what is broken goes nowhere.
func TestStreamsWithoutAServerName(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Affinity.Type = "sni"
	cc.Proxy.Timeouts.Head = config.Duration(150 * time.Millisecond)
	r := newRig(t, cc)
	c := r.connect("127.0.0.1")
	c.echoAfterName("SSH-2.0-client")
	if got := r.instanceOf("127.0.0.1"); got != "i1" && got != "i2" {
		t.Error("a client that waits for the instance to speak: " + got)
	}
	if n := len(r.g.sessions()); n != 0 {
		t.Errorf("%d sessions", n)
	}
	for _, text := range []string{"\x16\x03\x01\x00\x00", "\x16\x03\x01\x01", "\x16\x03\x01\x00\x04\x01\xff\xff\xff"} {
		c := r.connect("127.0.0.1")
		io.WriteString(c, text)
		if got := c.line(); !refused(got) {
			t.Errorf("%q: %s", text, got)
		}
	}
	r.wait("it is in the log", func() bool { return strings.Contains(r.accessLog(), `"status":400`) })
}

// echoAfterName sends a line, and wants the instance's name and then the line.
func (c *streamClient) echoAfterName(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, text); err != nil {
		c.t.Fatal(err)
	}
	if name, got := c.line(), c.line(); got != text {
		c.t.Fatalf("%s: %s", name, got)
	}
}
