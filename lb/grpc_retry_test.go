package lb

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// refuser is an instance that takes connections of HTTP/2 and answers each request as it likes, with frames.
type refuser struct {
	url   string
	asked atomic.Int64
}

func newRefuser(t *testing.T, answer func(f *http2.Framer, stream uint32), settings ...http2.Setting) *refuser {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &refuser{url: "http://" + ln.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.serve(conn, answer, settings) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait() // the balancer has ended by then
	})
	return r
}

func (r *refuser) serve(conn net.Conn, answer func(f *http2.Framer, stream uint32), settings []http2.Setting) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.WriteSettings(settings...)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			f.WritePing(true, frame.Data)
		case *http2.HeadersFrame:
			r.asked.Add(1)
			answer(f, frame.StreamID)
		}
	}
}

// plainBlock encodes fields, name, value, name, value, without a table.
func plainBlock(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	enc.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// retryAll is a service config by which every call is repeated that is UNAVAILABLE.
const retryAll = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// newRetryingCaller is a client of gRPC as it comes, which repeats by itself what has not been touched, with more options.
func newRetryingCaller(t *testing.T, addr string, more ...grpc.DialOption) pb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewTestServiceClient(conn)
}

// TestGRPCUntouchedCallsGoElsewhere: what an instance says it has not touched is executed by another one, once, and soon; the client, which repeats nothing
// that is UNAVAILABLE, does not notice.
func TestGRPCUntouchedCallsGoElsewhere(t *testing.T) {
	for name, answer := range map[string]func(f *http2.Framer, stream uint32){
		"REFUSED_STREAM": func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) },
		"GOAWAY":         func(f *http2.Framer, stream uint32) { f.WriteGoAway(stream-1, http2.ErrCodeNo, nil) },
		"GOAWAY of all":  func(f *http2.Framer, _ uint32) { f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			const calls = 10
			a, b := newRefuser(t, answer), newCallee(t, "i2")
			cfg := grpcConf(b)
			cfg.Clusters[0].Instances = append(cfg.Clusters[0].Instances, inst("i1", a.url))
			r := newRig(t, cfg)
			c := newRetryingCaller(t, r.addr())
			for i := range calls {
				began := time.Now()
				got, err := c.UnaryCall(within(t), &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 10<<10)}})
				if err != nil || string(got.GetPayload().GetBody()) != "i2" {
					t.Fatalf("call %d: %v %v", i, got, err)
				}
				if d := time.Since(began); d > 5*time.Second {
					t.Errorf("call %d took %v", i, d)
				}
			}
			s, err := c.FullDuplexCall(within(t))
			if err == nil {
				err = callBack(s)
			}
			if err != nil {
				t.Error("a stream:", err)
			}
			if n := b.calls.Load(); n != calls+1 || a.asked.Load() == 0 {
				t.Errorf("%d calls were executed, and %d refused", n, a.asked.Load())
			}
			if s := r.status("c1", "i1"); s.Health != "up" {
				t.Error(s.Reason)
			}
		})
	}
}

// TestGRPCUntouchedCallsOfTheLastInstance wait for it: there is nobody else who could take them, and it may be about to.
func TestGRPCUntouchedCallsOfTheLastInstance(t *testing.T) {
	var asked atomic.Int64
	a := newRefuser(t, func(f *http2.Framer, stream uint32) {
		if asked.Add(1) <= 2 {
			f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			return
		}
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: plainBlock(":status", "200", "content-type", "application/grpc"), EndHeaders: true})
		f.WriteData(stream, false, make([]byte, 5)) // an empty message
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: plainBlock("grpc-status", "0"), EndHeaders: true, EndStream: true})
	})
	cfg := grpcConf(newCallee(t, "i2"))
	cfg.Clusters[0].Instances = []config.Instance{inst("i1", a.url)}
	r := newRig(t, cfg)
	if _, err := newRetryingCaller(t, r.addr()).UnaryCall(within(t), &pb.SimpleRequest{}); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the instance was asked %d times", n)
	}
}

// TestGRPCTouchedCallsAreNotRepeated by the balancer, however the instance ends them; a client that wants it may.
func TestGRPCTouchedCallsAreNotRepeated(t *testing.T) {
	for name, answer := range map[string]func(f *http2.Framer, stream uint32){
		"INTERNAL_ERROR": func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, http2.ErrCodeInternal) },
		"GOAWAY behind it": func(f *http2.Framer, stream uint32) {
			f.WriteGoAway(stream, http2.ErrCodeInternal, nil)
			f.WriteRSTStream(stream, http2.ErrCodeInternal)
		},
		"a cancelled stream":    func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, http2.ErrCodeCancel) },
		"a frame of no meaning": func(f *http2.Framer, _ uint32) { f.WriteContinuation(99, true, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newRefuser(t, answer)
			cfg := grpcConf(newCallee(t, "i2"))
			cfg.Clusters[0].Instances[0].Weight = 0 // it takes what moves, and nothing else
			cfg.Clusters[0].Instances = append(cfg.Clusters[0].Instances, inst("i1", a.url))
			r := newRig(t, cfg)
			if _, err := newRetryingCaller(t, r.addr()).UnaryCall(within(t), &pb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
			if n := a.asked.Load(); n != 1 {
				t.Errorf("the instance was asked %d times", n)
			}
		})
	}
}

// TestGRPCRetryPolicy: with a service config of its own the client repeats what an instance that is killed takes with it, so that every call ends well; the
// instances execute no more than the attempts that it says it has made.
func TestGRPCRetryPolicy(t *testing.T) {
	const calls, atOnce = 400, 20
	var attempts atomic.Int64
	count := grpc.WithStatsHandler(&attemptCounter{n: &attempts})
	a, b := newCallee(t, "i1"), newCallee(t, "i2")
	r := newRig(t, grpcConf(a, b))
	c := newRetryingCaller(t, r.addr(), grpc.WithDefaultServiceConfig(retryAll), count)
	a.hold = make(chan struct{}) // what is with it when it dies is lost
	var all sync.WaitGroup
	var next, failed atomic.Int64
	for range atOnce {
		all.Go(func() {
			for next.Add(1) <= calls {
				if got, err := c.UnaryCall(within(t), &pb.SimpleRequest{}); err != nil || string(got.GetPayload().GetBody()) != "i2" {
					t.Log(got, err)
					failed.Add(1)
				}
			}
		})
	}
	r.wait("it has calls, and others were served", func() bool { return a.calls.Load() >= atOnce/2 && b.calls.Load() >= 1 })
	a.kill()
	all.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d calls failed", failed.Load())
	}
	lost, executed := a.calls.Load(), a.calls.Load()+b.calls.Load()
	if lost == 0 || executed != calls+lost || attempts.Load() < executed {
		t.Errorf("%d executed, of which %d were lost, in %d attempts of %d calls", executed, lost, attempts.Load(), calls)
	}
}

// TestGRPCOverTLS: a call and a stream.
func TestGRPCOverTLS(t *testing.T) {
	a := newCallee(t, "i1")
	r, ca := secureRig(t, overTLS(grpcConf(a), "site"))
	c := newRetryingCaller(t, r.addr(), grpc.WithTransportCredentials(credentials.NewTLS(clientOf(ca))))
	got, err := c.UnaryCall(within(t), &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 100<<10)}})
	if err != nil || string(got.GetPayload().GetBody()) != "i1" {
		t.Fatal(got, err)
	}
	s, err := c.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := callBack(s); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Error(err)
	}
	r.wait("the access log", func() bool { return strings.Count(r.access.String(), `"HTTP/2.0"`) == 2 })
}

// attemptCounter counts the attempts of a client.
type attemptCounter struct{ n *atomic.Int64 }

func (a *attemptCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (a *attemptCounter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.Begin); ok {
		a.n.Add(1)
	}
}
func (a *attemptCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (a *attemptCounter) HandleConn(context.Context, stats.ConnStats) {}
