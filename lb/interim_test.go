package lb

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
)

// interim103 is an instance that sends early hints before its answer.
var interim103 = answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Holdfast-Session: lost\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

// RFC 9110, 15.2: a client of HTTP/1.0 does not know interim responses.
func TestInterimResponsesAreNotForOldClients(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, interim103).url)))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
	all, err := io.ReadAll(c.Conn)
	if err != nil || strings.Contains(string(all), "103") || !strings.HasPrefix(string(all), "HTTP/1.") || !strings.Contains(string(all), " 200 OK\r\n") {
		t.Errorf("%q %v", all, err)
	}
}

// Only Holdfast says that a session is lost, in interim responses too.
func TestInterimResponsesDoNotSpeakForHoldfast(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, interim103).url)))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(c.Conn)
	if err != nil || !strings.Contains(string(all), "103") || !strings.Contains(string(all), "</a>") || strings.Contains(string(all), lostHeader) {
		t.Errorf("%q %v", all, err)
	}
}

// Nor does a trailer speak for Holdfast, announced or not; others pass.
func TestTrailersDoNotSpeakForHoldfast(t *testing.T) {
	for _, announced := range []string{"Trailer: X-Holdfast-Session, X-Sum\r\n", "Trailer: X-Sum\r\n", ""} {
		o := newOrigin(t, answer("HTTP/1.1 200 OK\r\n"+announced+"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Holdfast-Session: lost\r\nX-Sum: 7\r\n\r\n"))
		r := newRig(t, bare(inst("i1", o.url)))
		got := newClient(t).get(r.url("/"))
		if got.body != "ok" || len(got.Trailer) != 1 || got.Trailer.Get("X-Sum") != "7" || got.Header.Get(lostHeader) != "" {
			t.Errorf("%q: %q, trailer %v", announced, got.body, got.Trailer)
		}
	}
}

// lateInterim is a client's connection on which an interim response of the instance comes up while Holdfast writes its own answer. Header maps are not
// made for that.
type lateInterim struct {
	httptest.ResponseRecorder
	x     *exchange
	codes []int
}

func (w *lateInterim) WriteHeader(code int) {
	if w.codes = append(w.codes, code); len(w.codes) == 1 {
		w.x.info.got(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"</a>"}})
	}
}

func TestNoInterimResponseDuringHoldfastsAnswer(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, echo("i1")).url)))
	w := &lateInterim{ResponseRecorder: *httptest.NewRecorder()}
	x := exchangeOf(r.b, httptest.NewRequest("GET", "/", nil))
	x.w = w
	w.x, x.info.x = x, x
	x.fail(errors.New("broken"))
	if len(w.codes) != 1 || w.codes[0] != http.StatusBadGateway {
		t.Errorf("written: %v", w.codes)
	}
}
