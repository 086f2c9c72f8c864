package lb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// callee is an instance that answers calls of gRPC with its name.
type callee struct {
	pb.UnimplementedTestServiceServer
	name   string
	url    string
	server *grpc.Server
	ln     *countingListener
	calls  atomic.Int64
	ended  atomic.Int64  // calls whose client went away first
	hold   chan struct{} // when set, unary calls wait for it
}

// countingListener counts connections and keeps them, so that they can be cut.
type countingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, c)
		l.mu.Unlock()
	}
	return c, err
}

func (l *countingListener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

func newCallee(t testing.TB, name string) *callee {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &callee{name: name, url: "http://" + ln.Addr().String(), server: grpc.NewServer(), ln: &countingListener{Listener: ln}}
	pb.RegisterTestServiceServer(c.server, c)
	go c.server.Serve(c.ln)
	t.Cleanup(c.kill)
	return c
}

// kill ends it as a process ends: its connections close, and nothing listens.
func (c *callee) kill() {
	c.ln.Listener.Close()
	c.ln.mu.Lock()
	for _, conn := range c.ln.conns {
		conn.Close()
	}
	c.ln.mu.Unlock()
	c.server.Stop()
}

func (c *callee) payload() *pb.Payload { return &pb.Payload{Body: []byte(c.name)} }

func (c *callee) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	c.calls.Add(1)
	grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "bye", "x-bin-bin", "\x00\xff"))
	if s := in.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			c.ended.Add(1)
			return nil, ctx.Err()
		}
	}
	return &pb.SimpleResponse{Payload: c.payload()}, nil
}

func (c *callee) StreamingOutputCall(in *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range in.GetResponseParameters() {
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (c *callee) StreamingInputCall(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	sum := int32(0)
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		sum += int32(len(in.GetPayload().GetBody()))
	}
}

func (c *callee) FullDuplexCall(s grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	c.calls.Add(1)
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			c.ended.Add(1)
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// grpcConf has callees without affinity: sessions of gRPC are recognised by a header field, if at all.
func grpcConf(callees ...*callee) *config.Config {
	var list []config.Instance
	for _, c := range callees {
		list = append(list, inst(c.name, c.url))
	}
	c := http2Conf(list...)
	cl := &c.Clusters[0]
	cl.Protocol, cl.Affinity, cl.Health.Type, cl.BodyBuffer = "h2", config.Affinity{Type: "none"}, "none", 64<<10
	cl.Health.Passive, cl.Health.PassiveFails = []string{"connect"}, 1
	return c
}

func newCaller(t testing.TB, r *rig) pb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewTestServiceClient(conn)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestGRPCUnary(t *testing.T) {
	a, b := newCallee(t, "i1"), newCallee(t, "i2")
	r := newRig(t, grpcConf(a, b))
	c := newCaller(t, r)
	for range 10 {
		var trailer metadata.MD
		got, err := c.UnaryCall(within(t), &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 100<<10)}}, grpc.Trailer(&trailer))
		if err != nil || !strings.HasPrefix(string(got.GetPayload().GetBody()), "i") {
			t.Fatal(got, err)
		}
		if v := trailer.Get("x-trailer"); len(v) != 1 || v[0] != "bye" || trailer.Get("x-bin-bin")[0] != "\x00\xff" {
			t.Errorf("%v", trailer)
		}
	}
	if a.calls.Load() != 5 || b.calls.Load() != 5 {
		t.Errorf("%d and %d calls", a.calls.Load(), b.calls.Load())
	}
	if a.ln.count() != 1 {
		t.Errorf("%d connections", a.ln.count())
	}
	_, err := c.UnaryCall(within(t), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(codes.DataLoss), Message: "gone: 100% ü"}})
	if s := status.Convert(err); s.Code() != codes.DataLoss || s.Message() != "gone: 100% ü" {
		t.Error(err)
	}
}

func TestGRPCStreams(t *testing.T) {
	a := newCallee(t, "i1")
	c := newCaller(t, newRig(t, grpcConf(a)))
	sizes := []int32{1, 0, 70_000, 3, 1 << 20}
	request := &pb.StreamingOutputCallRequest{}
	for _, n := range sizes {
		request.ResponseParameters = append(request.ResponseParameters, &pb.ResponseParameters{Size: n})
	}
	out, err := c.StreamingOutputCall(within(t), request)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		if got, err := out.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(n) {
			t.Fatal(n, err)
		}
	}
	if _, err := out.Recv(); err != io.EOF {
		t.Error(err)
	}
	in, err := c.StreamingInputCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		if err := in.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, n)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := in.CloseAndRecv(); err != nil || got.GetAggregatedPayloadSize() != 1<<20+70_004 {
		t.Error(got, err)
	}
	both, err := c.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes { // each is answered before the next is sent
		if err := both.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: make([]byte, n)}}); err != nil {
			t.Fatal(err)
		}
		if got, err := both.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(n) {
			t.Fatal(n, err)
		}
	}
	both.CloseSend()
	if _, err := both.Recv(); err != io.EOF {
		t.Error(err)
	}
}

// TestGRPCDeadlinesAndCancellation reach the instance, and the client has its word for them.
func TestGRPCDeadlinesAndCancellation(t *testing.T) {
	a := newCallee(t, "i1")
	a.hold = make(chan struct{})
	r := newRig(t, grpcConf(a))
	c := newCaller(t, r)
	ctx, cancel := context.WithTimeout(within(t), 3*time.Second) // the instance has it by then, on any machine
	defer cancel()
	if _, err := c.UnaryCall(ctx, &pb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	r.wait("the instance knows", func() bool { return a.ended.Load() == 1 })
	ctx, cancel = context.WithCancel(within(t))
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream.Send(&pb.StreamingOutputCallRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	r.wait("the instance knows", func() bool { return a.ended.Load() == 2 })
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestGRPCDeadlineOfOneThatDoesNotKnowIt: Holdfast says so when neither the client nor the instance does, and nobody's health suffers.
func TestGRPCDeadlineOfOneThatDoesNotKnowIt(t *testing.T) {
	stuck := newHTTP2App(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cfg := grpcConf()
	cfg.Clusters[0].Instances = []config.Instance{inst("i1", stuck)}
	cfg.Clusters[0].Health.Passive, cfg.Clusters[0].ResponseTimeout = []string{"connect", "timeout"}, config.Duration(time.Hour)
	r := newRig(t, cfg)
	req := post(t, r.url("/a.B/C"), "")
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Grpc-Timeout": {"50m"}}
	got := newHTTP2Client(t).do(req)
	if got.StatusCode != 200 || got.Header.Get("Grpc-Status") != "4" || got.Header.Get("Content-Type") != "application/grpc" {
		t.Errorf("%v", got.Header)
	}
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Error(s.Reason)
	}
}

// newHTTP2App is an instance that speaks HTTP/2 in clear text alone.
func newHTTP2App(t testing.TB, h http.HandlerFunc) (url string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: &protocols}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return "http://" + ln.Addr().String()
}

// TestGRPCOwnAnswers: what Holdfast has to say, it says as a status.
func TestGRPCOwnAnswers(t *testing.T) {
	cfg := grpcConf()
	cfg.Clusters[0].Modules[0].ContextRoot = "/grpc.testing.TestService"
	cfg.Clusters[0].Instances = []config.Instance{inst("i1", deadURL(t))}
	r := newRig(t, cfg)
	c := newCaller(t, r)
	if _, err := c.UnaryCall(within(t), &pb.SimpleRequest{}); status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "not available") {
		t.Error(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+r.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewReconnectServiceClient(conn).Stop(within(t), &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

// TestGRPCThousandStreams at once over a few connections.
func TestGRPCThousandStreams(t *testing.T) {
	const streams, clients = 1000, 5
	a := newCallee(t, "i1")
	r := newRig(t, grpcConf(a))
	var open, all sync.WaitGroup
	open.Add(streams)
	var failed atomic.Int64
	for range clients {
		c := newCaller(t, r)
		for range streams / clients {
			all.Go(func() {
				s, err := c.FullDuplexCall(within(t))
				if err == nil {
					err = callBack(s)
				}
				open.Done()
				if open.Wait(); err == nil { // all are open at this moment
					err = callBack(s)
				}
				if err == nil {
					s.CloseSend()
					_, err = s.Recv()
				}
				if err != io.EOF {
					failed.Add(1)
				}
			})
		}
	}
	all.Wait()
	if failed.Load() > 0 || a.calls.Load() != streams {
		t.Errorf("%d of %d failed", failed.Load(), a.calls.Load())
	}
	if n := a.ln.count(); n > 12 {
		t.Errorf("%d connections to the instance", n)
	}
}

func callBack(s grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	if err := s.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte("x")}}); err != nil {
		return err
	}
	got, err := s.Recv()
	if err == nil && string(got.GetPayload().GetBody()) != "x" {
		err = errors.New("another message")
	}
	return err
}

// TestGRPCInstanceKilledUnderLoad: its own calls fail, as unavailable; all others go on, and what comes next goes elsewhere.
func TestGRPCInstanceKilledUnderLoad(t *testing.T) {
	a, b := newCallee(t, "i1"), newCallee(t, "i2")
	a.hold, b.hold = make(chan struct{}), make(chan struct{})
	r := newRig(t, grpcConf(a, b))
	c := newCaller(t, r)
	const calls = 100
	var all sync.WaitGroup
	var unavailable, served, other atomic.Int64
	call := func() {
		got, err := c.UnaryCall(within(t), &pb.SimpleRequest{})
		switch {
		case err == nil && string(got.GetPayload().GetBody()) == "i2":
			served.Add(1)
		case status.Code(err) == codes.Unavailable:
			unavailable.Add(1)
		default:
			t.Log(got, err)
			other.Add(1)
		}
	}
	for range calls {
		all.Go(call)
	}
	r.wait("all calls are under way", func() bool { return a.calls.Load()+b.calls.Load() == calls })
	lost := a.calls.Load()
	a.kill()
	r.wait("its calls have ended", func() bool { return unavailable.Load() == lost })
	for range calls {
		all.Go(call)
	}
	r.wait("the others have them", func() bool { return b.calls.Load() == 2*calls-lost })
	close(b.hold)
	all.Wait()
	if lost == 0 || lost == calls || unavailable.Load() != lost || other.Load() != 0 || served.Load() != 2*calls-lost {
		t.Errorf("%d were with the instance; %d unavailable, %d served, %d something else", lost, unavailable.Load(), served.Load(), other.Load())
	}
}

// TestGRPCInstanceKilledInAStream: the client is told in a trailer.
func TestGRPCInstanceKilledInAStream(t *testing.T) {
	a := newCallee(t, "i1")
	c := newCaller(t, newRig(t, grpcConf(a)))
	s, err := c.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := callBack(s); err != nil {
		t.Fatal(err)
	}
	a.kill()
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestGRPCTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1S": time.Second, "50m": 50 * time.Millisecond, "3u": 3 * time.Microsecond, "9n": 9, "2M": 2 * time.Minute, "1H": time.Hour, "99999999H": grpcTimeoutMost,
		"": 0, "S": 0, "1": 0, "1s": 0, "-1S": 0, "+1S": 0, "123456789S": 0, "1.5S": 0, " 1S": 0,
	} {
		if got := grpcTimeout(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := grpcMessage("100% ü\n"); got != "100%25 %C3%BC%0A" {
		t.Error(got)
	}
}

// TestHTTP2InstanceOfHTTP1Clients: the protocol of the instances is not that of the clients.
func TestHTTP2InstanceOfHTTP1Clients(t *testing.T) {
	url := newHTTP2App(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Proto+" "+string(body))
		w.Header().Set("X-Sum", "3")
	})
	cfg := http2Conf(inst("i1", url))
	cfg.Clusters[0].Protocol = "h2"
	r := newRig(t, cfg)
	for name, c := range map[string]*client{"HTTP/1.1": newClient(t), "HTTP/2": newHTTP2Client(t)} {
		got := c.do(post(t, r.url("/x"), "body"))
		if got.StatusCode != 200 || got.body != "HTTP/2.0 body" || got.Trailer.Get("X-Sum") != "3" {
			t.Errorf("%s: %d %q %v", name, got.StatusCode, got.body, got.Trailer)
		}
	}
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Error(s.Reason)
	}
}
