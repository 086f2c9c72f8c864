package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// grpcServer answers health checks over HTTP/2 as told.
type grpcServer struct {
	*httptest.Server
	message atomic.Pointer[string] // after the frame's head
	status  atomic.Pointer[string] // grpc-status
	asked   atomic.Pointer[string]
	wrong   atomic.Pointer[string] // what was wrong with a request
}

func (s *grpcServer) answer(message, status string) {
	s.message.Store(&message)
	s.status.Store(&status)
}

func newGRPCServer(t *testing.T, secure bool) *grpcServer {
	s := &grpcServer{}
	s.answer("\x08\x01", "0")
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	var p http.Protocols
	p.SetUnencryptedHTTP2(!secure)
	p.SetHTTP2(secure)
	s.Config.Protocols = &p
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *grpcServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	asked, wrong := string(body), ""
	s.asked.Store(&asked)
	if r.ProtoMajor != 2 || r.Method != "POST" || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Header.Get("Te") != "trailers" ||
		r.Header.Get("Content-Type") != "application/grpc" {
		wrong = r.Proto + " " + r.Method + " " + r.URL.Path
	}
	s.wrong.Store(&wrong)
	message, status := *s.message.Load(), *s.status.Load()
	w.Header().Set("Content-Type", "application/grpc")
	if message == "hang" {
		<-r.Context().Done()
		return
	}
	if message == "404" {
		w.WriteHeader(404)
		return
	}
	if message == "" { // trailers only
		w.Header().Set("Grpc-Status", status)
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	if strings.HasPrefix(message, "raw") {
		io.WriteString(w, message[3:])
	} else {
		w.Write(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))))
		io.WriteString(w, message)
	}
	if status != "" {
		w.Header().Set("Grpc-Status", status)
	}
}

func TestGRPCHealth(t *testing.T) { // SUN-10
	for _, secure := range []bool{false, true} {
		s := newGRPCServer(t, secure)
		e, err := newEndpoint(s.URL, false)
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			e.roots = x509.NewCertPool()
			e.roots.AddCert(s.Certificate())
		}
		check := func(service string, timeout time.Duration) string {
			h := newHealthSettings(config.Health{Type: "grpc", GRPCService: service, Timeout: config.Duration(timeout)})
			ctx, cancel := context.WithTimeout(t.Context(), h.timeout)
			defer cancel()
			return explain(&h, e.checkListener(ctx, &h))
		}
		if got := check("", 0); got != "" || *s.asked.Load() != "\x00\x00\x00\x00\x00" || *s.wrong.Load() != "" {
			t.Errorf("%q, asked %q, wrong %q", got, *s.asked.Load(), *s.wrong.Load())
		}
		if got := check("shop.Cart", 0); got != "" || *s.asked.Load() != "\x00\x00\x00\x00\x0b\x0a\x09shop.Cart" {
			t.Errorf("%q, asked %q", got, *s.asked.Load())
		}
		for _, c := range []struct{ message, status, want string }{
			{"\x08\x02", "0", "NOT_SERVING"}, {"\x08\x03", "0", "SERVICE_UNKNOWN"}, {"\x08\x09", "0", "status 9"}, {"raw\x00\x00\x00\x00\x00", "0", "UNKNOWN"},
			{"", "5", "NOT_FOUND"}, {"", "12", "UNIMPLEMENTED"}, {"", "14", "grpc-status 14"}, {"", "0", "no message"}, {"\x08\x01", "", "no grpc-status"},
			{"\x08\x01", "x", "not a number"}, {"404", "", "HTTP status 404"}, {"raw\x01\x00\x00\x00\x02\x08\x01", "0", "compressed"},
			{"raw\x00\x00\x00\x00\x07\x08\x01", "0", "length"}, {"raw\x00\x00", "0", "no message"}, {"\x08", "0", "damaged"}, {"\x12\xff\x01x", "0", "damaged"},
			{"raw" + strings.Repeat("x", maxGRPCAnswer+1), "0", "more than"}, {"\x0b\x01", "0", "damaged"},
		} {
			s.answer(c.message, c.status)
			if got := check("", 0); !strings.Contains(got, c.want) {
				t.Errorf("%q %q: %q, want %s", c.message, c.status, got, c.want)
			}
		}
		s.answer("\x12\x02ab\x19\x01\x02\x03\x04\x05\x06\x07\x08\x25abcd\x08\x01", "0") // fields of a later version
		if got := check("", 0); got != "" {
			t.Errorf("unknown fields: %q", got)
		}
		s.answer("hang", "0")
		if got := check("", 50*time.Millisecond); !strings.Contains(got, "no answer within 50ms") {
			t.Errorf("hanging: %q", got)
		}
		s.CloseClientConnections()
		s.Close()
		if got := check("", 0); got == "" {
			t.Error("a closed port is healthy")
		}
	}
}

// TestGRPCHealthOfOtherServers: the reason says that the check does not suit the server, and keeps the cause; what may as well be a fault of a
// gRPC server is not taken for that.
func TestGRPCHealthOfOtherServers(t *testing.T) { // SUN-10
	const no = "does not speak gRPC (HTTP/2): "
	answer := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain := newApp(t, "http1", nil)
	secure, bare := httptest.NewTLSServer(answer), httptest.NewUnstartedServer(answer)
	bare.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	bare.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: bare.TLS.Certificates}, nil // without ALPN
	}}
	bare.StartTLS()
	t.Cleanup(secure.Close)
	t.Cleanup(bare.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	gone := newGRPCServer(t, false)
	gone.Close()
	for _, c := range []struct {
		url  string
		told bool
		has  string
	}{
		{plain.URL, true, ""},
		{secure.URL, true, "no application protocol"},
		{bare.URL, true, "it answered with HTTP/1.1, status 200"},
		{"http://" + newBanner(t, "SSH-2.0-OpenSSH_9.2p1\r\n"), true, ""},
		{"http://" + newBanner(t, "+OK\r\n"), true, ""},
		{"http://" + newBanner(t, "\x15\x03\x01\x00\x02\x02\x46"), true, ""}, // a TLS alert
		{"http://" + newBanner(t, "\x00\x00\x00\x01\x00\x00\x00\x00\x00"), true, ""},
		{"http://" + newBanner(t, "\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x00"), false, ""}, // SETTINGS first
		{"http://" + newBanner(t, "\x00\x00"), false, ""},
		{"http://" + newBanner(t, ""), false, ""},
		{"https" + strings.TrimPrefix(plain.URL, "http"), false, "TLS handshake"},
		{gone.URL, false, "refused"},
	} {
		e, err := newEndpoint(c.url, false)
		if err != nil {
			t.Fatal(err)
		}
		e.roots = roots
		h := newHealthSettings(config.Health{Type: "grpc"})
		got := explain(&h, e.checkListener(t.Context(), &h))
		if cause := strings.TrimPrefix(got, no); got == "" || cause == "" || (cause != got) != c.told || !strings.Contains(cause, c.has) {
			t.Errorf("%s: %q, want told %v, %q", c.url, got, c.told, c.has)
		}
	}
}

// newBanner is the address of a server that says the same to everybody, whatever it is asked, and hangs up.
func newBanner(t *testing.T, text string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4<<10))
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return ln.Addr().String()
}

func FuzzGRPCHealthStatus(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x04\x12\x02\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if status, err := grpcHealthStatus(b); err == nil && status == grpcIsServing && len(b) < 7 {
			t.Fatalf("%q is SERVING", b)
		}
	})
}
