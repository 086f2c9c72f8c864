package lb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// grpcHealthPath is the method of the gRPC health checking protocol.
const grpcHealthPath = "/grpc.health.v1.Health/Check"

// maxGRPCAnswer bounds the answer: a HealthCheckResponse takes 2 bytes.
const maxGRPCAnswer = 4 << 10

// grpcServing is HealthCheckResponse.ServingStatus; anything but SERVING is unhealthy.
var grpcServing = map[uint64]string{0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

const grpcIsServing = 1

// checkGRPC asks grpc.health.v1.Health/Check for a service, "" for the server as a whole: over HTTP/2 in clear text for http listeners,
// over TLS for https ones. The two messages of the protocol are small enough to do without a gRPC library.
func (e *endpoint) checkGRPC(ctx context.Context, service string) error {
	first := &firstWords{}
	t := e.grpcTransport() // a connection of its own proves that the instance still accepts
	defer t.CloseIdleConnections()
	if e.scheme == "http" { // those of TLS are no frames
		t.DialContext = func(dialCtx context.Context, network, address string) (net.Conn, error) {
			conn, err := e.dial(dialCtx, network, address)
			if err != nil {
				return nil, err
			}
			return first.listenTo(ctx, conn), nil
		}
	}
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: e.scheme, Host: e.hostPort, Path: grpcHealthPath}, Host: e.hostPort,
		Header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {healthUserAgent}},
	}
	message := grpcHealthRequest(service)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(message)), int64(len(message))
	resp, err := t.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return explainHTTP2(err, first)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 { // a TLS server that negotiates no protocol gets HTTP/1.1
		return fmt.Errorf("%s: it answered with %s, status %d", noHTTP2, resp.Proto, resp.StatusCode)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("gRPC health check answered HTTP status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxGRPCAnswer+1))
	if err != nil {
		return fmt.Errorf("gRPC health check: %w", err)
	}
	if len(answer) > maxGRPCAnswer {
		return fmt.Errorf("gRPC health check answered more than %d bytes", maxGRPCAnswer)
	}
	if err := grpcStatus(resp); err != nil {
		return err
	}
	status, err := grpcHealthStatus(answer)
	if err != nil {
		return fmt.Errorf("gRPC health check: %w", err)
	}
	if status != grpcIsServing {
		name := grpcServing[status]
		if name == "" {
			name = "status " + strconv.FormatUint(status, 10)
		}
		return fmt.Errorf("gRPC health check answered %s, not SERVING", name)
	}
	return nil
}

// grpcTransport speaks HTTP/2 only.
func (e *endpoint) grpcTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(e.scheme == "https")
	protocols.SetUnencryptedHTTP2(e.scheme == "http")
	host, _, _ := net.SplitHostPort(e.hostPort) // newEndpoint joined it
	return &http.Transport{
		DialContext: e.dial, TLSClientConfig: e.clientTLS(host),
		TLSHandshakeTimeout: connectTimeout, DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxResponseHeader, Protocols: &protocols,
	}
}

// grpcHealthRequest is the framed HealthCheckRequest: a string in field 1, left out when it is empty.
func grpcHealthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(framed, message...)
}

// grpcStatus is the error that the trailer tells of; an answer without a message has it in its header.
func grpcStatus(resp *http.Response) error {
	where := resp.Trailer
	if where.Get("Grpc-Status") == "" {
		where = resp.Header
	}
	switch code := where.Get("Grpc-Status"); code {
	case "0":
		return nil
	case "":
		return errors.New("gRPC health check: the answer has no grpc-status")
	default:
		number, err := strconv.ParseUint(code, 10, 16)
		if err != nil {
			return errors.New("gRPC health check: grpc-status is not a number")
		}
		switch number {
		case 5:
			return errors.New("gRPC health check: the server does not know the service (NOT_FOUND)")
		case 12:
			return errors.New("gRPC health check: the server has no health service (UNIMPLEMENTED)")
		}
		return fmt.Errorf("gRPC health check: grpc-status %d", number)
	}
}

// grpcHealthStatus reads the framed HealthCheckResponse: an enum in field 1, 0 when it is left out. Fields it does not know are skipped.
func grpcHealthStatus(framed []byte) (uint64, error) {
	if len(framed) < 5 {
		return 0, errors.New("no message in the answer")
	}
	if framed[0] != 0 {
		return 0, errors.New("the answer is compressed, which was not asked for")
	}
	message := framed[5:]
	if uint64(binary.BigEndian.Uint32(framed[1:5])) != uint64(len(message)) {
		return 0, errors.New("the message's length is wrong")
	}
	status := uint64(0)
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return 0, errBadProto
		}
		value, rest, err := protoField(tag&7, message[n:])
		if err != nil {
			return 0, err
		}
		if message = rest; tag>>3 == 1 && tag&7 == 0 {
			status = value
		}
	}
	return status, nil
}

var errBadProto = errors.New("the message is damaged")

// protoField takes one field of a protobuf message; value is set for varints.
func protoField(wireType uint64, b []byte) (value uint64, rest []byte, err error) {
	skip := uint64(0)
	switch wireType {
	case 0, 2:
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, errBadProto
		}
		if b = b[n:]; wireType == 0 {
			return v, b, nil
		}
		skip = v
	case 1:
		skip = 8
	case 5:
		skip = 4
	default:
		return 0, nil, errBadProto
	}
	if skip > uint64(len(b)) {
		return 0, nil, errBadProto
	}
	return 0, b[skip:], nil
}
