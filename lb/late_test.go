package lb

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestWhatIsLoggedOfAClientsFault: a client that is answered about its body is logged with that answer and its reason, whichever engine has it.
func TestWhatIsLoggedOfAClientsFault(t *testing.T) {
	const head = " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
	for _, row := range []struct {
		name, path, then string
		body             config.Duration
		status           int
		problem          string
	}{
		{"no chunks", "/", "cdeXX", later, 400, "The body of the request is not valid: chunk does not end where its size says."},
		{"an end within the body", "/", "", later, 400, "The body of the request could not be read."},
		{"a body that does not come", "/", "-", soon, 408, "The body of the request did not come in time."},
		{"no chunks behind the answer", "/early", "cdeXX", later, 200, "The body of the request is not valid: chunk does not end where its size says."},
		{"a body that does not come behind the answer", "/early", "-", soon, 200, "The body of the request did not come in time."},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, a, _ := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/early" {
					c := http.NewResponseController(w)
					c.EnableFullDuplex()
					io.WriteString(w, "abc")
					c.Flush()
				}
				io.Copy(io.Discard, r.Body)
			}, func(c *config.Config) {
				c.Proxy.Timeouts.RequestBody = row.body
				c.Proxy.ErrorPages = []config.ErrorPage{{Status: "408", Text: "{status} {message}"}}
			})
			c := dialRaw(t, r)
			c.write("POST " + row.path + head)
			r.wait("it is under way", func() bool { return a.count() == 1 })
			var got *http.Response
			if row.status == 200 {
				got = c.response()
			}
			switch row.then {
			case "":
				closeWrite(c.Conn)
			case "-":
			default:
				c.write(row.then)
			}
			if got == nil {
				got = c.response()
			}
			body, err := io.ReadAll(got.Body)
			if got.StatusCode != row.status || row.status != 200 && (!got.Close || err != nil) || row.status == 200 && err == nil {
				t.Errorf("%d, close %v, %q, %v", got.StatusCode, got.Close, body, err)
			}
			if row.status == 408 && string(body) != "408 "+row.problem {
				t.Errorf("%q", body)
			}
			r.wait("it is logged", func() bool { return r.accessLog() != "" })
			log := r.accessLog()
			if netOnly && row.status == 200 {
				row.problem = "no valid response" // the instance's connection has been broken off with it
			}
			if !strings.Contains(log, fmt.Sprintf(`"status":%d,`, row.status)) || !strings.Contains(log, `"error":"`+row.problem+`"`) {
				t.Error(log)
			}
			if n := metric(t, r, "holdfast_protocol_violations_total"); row.then == "-" && n != 0 {
				t.Errorf("%v violations", n)
			}
			wantEngines(t, r, 1, 0)
		})
	}
}

// TestClientsThatStallHoldNoPlaces: the bodies of some stop when the instance can have no more requests; the others go on when the time of those is over.
func TestClientsThatStallHoldNoPlaces(t *testing.T) {
	r, a, _ := limitedRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, func(c *config.Config) {
		c.Clusters[0].Instances[0].MaxConnections = 2
		c.Proxy.Timeouts.RequestBody = config.Duration(300 * time.Millisecond)
	})
	r.setShares(share(1, "node1", 2))
	slow := []*rawConn{dialRaw(t, r), dialRaw(t, r)}
	for _, c := range slow {
		c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
	}
	for range 5 { // drips
		<-time.After(10 * time.Millisecond)
		for _, c := range slow {
			c.write("x")
		}
	}
	r.wait("both are there", func() bool { return a.count() == 2 })
	for range 4 {
		if got := newClient(t).get(r.url("/")); got.StatusCode != 200 {
			t.Errorf("another: %d", got.StatusCode)
		}
	}
	for _, c := range slow {
		if got := c.response(); got.StatusCode != 408 {
			t.Errorf("one that stalls: %d", got.StatusCode)
		}
	}
	if loop, _ := byEngine(t, r); loop < 2 && !netOnly {
		t.Errorf("%d requests of the loops", loop)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestInstancesThatStallBehindTheirAnswer: neither a body that the client has yet to send nor one that the instance does not take is longer waited for than the response itself.
func TestInstancesThatStallBehindTheirAnswer(t *testing.T) {
	for _, row := range []struct {
		length int
		change func(*config.Timeouts)
	}{
		{10, func(c *config.Timeouts) { c.ResponseBody = soon }},
		{64 << 20, func(c *config.Timeouts) { c.ResponseBody = soon }},
		{10, func(c *config.Timeouts) { c.ResponseBody, c.RequestBody = soon, later }},
	} {
		stop := make(chan struct{})
		r, _, _ := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			c.EnableFullDuplex()
			io.WriteString(w, "abc")
			c.Flush()
			<-stop
			panic(http.ErrAbortHandler) // net/http would trip over what is left of the body
		}, func(c *config.Config) { row.change(&c.Proxy.Timeouts) })
		c := dialRaw(t, r)
		c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nx", row.length))
		if row.length > 10 {
			go io.CopyN(c.Conn, zeros{}, int64(row.length-1))
		}
		if body, err := io.ReadAll(c.response().Body); err == nil || string(body) != "abc" {
			t.Errorf("%q %v", body, err)
		}
		r.wait("it is logged", func() bool { return r.accessLog() != "" })
		if log := r.accessLog(); !strings.Contains(log, `"error":"timeout"`) {
			t.Error(log)
		}
		wantEngines(t, r, 1, 0)
		close(stop)
	}
}

// TestHTTP2BodyIsLateOnTheLoops: that costs its stream alone, there as well.
func TestHTTP2BodyIsLateOnTheLoops(t *testing.T) {
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	c := http2Conf(of(a)...)
	c.Proxy.Timeouts.RequestBody = config.Duration(500 * time.Millisecond)
	r := newRig(t, c)
	f := dialFramed(t, r)
	f.ask(1, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
	f.WriteData(1, false, []byte("abc"))
	if got := f.outcomeOf(1); got != "408" {
		t.Error(got)
	}
	f.ask(3, true, get("/")...)
	if got := f.outcomeOf(3); got != "200" {
		t.Error(got)
	}
	wantEngines(t, r, 2, 0)
}
