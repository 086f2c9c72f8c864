package lb

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// http2Conf is conf with a listener that takes HTTP/2.
func http2Conf(instances ...config.Instance) *config.Config {
	c := conf(instances...)
	c.Listeners[0].HTTP2 = true
	return c
}

// newHTTP2Client is a browser that speaks HTTP/2 in clear text without asking.
func newHTTP2Client(t testing.TB) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := http2Transport()
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t, &http.Client{Jar: jar, Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func http2Transport() *http.Transport {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{DisableCompression: true, Protocols: &protocols}
}

// framed is a client that sends whatever frames it likes.
type framed struct {
	t testing.TB
	net.Conn
	*http2.Framer
	head bytes.Buffer
	enc  *hpack.Encoder
}

// dialFramed connects and says the preface and its settings.
func dialFramed(t testing.TB, r *rig) *framed {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	f := &framed{t: t, Conn: conn, Framer: http2.NewFramer(conn, conn)}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.head)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// block encodes fields: name, value, name, value.
func (f *framed) block(fields ...string) []byte {
	f.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(f.head.Bytes())
}

// ask opens a stream with fields; an error of a connection that has been ended comes with the next answer.
func (f *framed) ask(stream uint32, end bool, fields ...string) {
	const most = 16 << 10
	block := f.block(fields...)
	first := block[:min(len(block), most)]
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(first) == len(block), EndStream: end})
	for block = block[len(first):]; len(block) > 0; {
		next := block[:min(len(block), most)]
		block = block[len(next):]
		f.WriteContinuation(stream, len(block) == 0, next)
	}
}

// get are the fields of a usual request.
func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "h"}, more...)
}

// outcomeOf reads until the stream has an answer: its status, or how it or the connection was ended.
func (f *framed) outcomeOf(stream uint32) string {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "closed: " + err.Error()
		}
		switch got := frame.(type) {
		case *http2.MetaHeadersFrame:
			if got.StreamID == stream {
				return got.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if got.StreamID == stream {
				return "reset " + got.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			return "goaway " + got.ErrCode.String()
		}
	}
}
