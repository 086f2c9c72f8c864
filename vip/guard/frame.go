package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// A frame is one packet of the socket pair: kind (1 byte), id (4 bytes, big-endian: that of the request, also in its answer; 0 for what is no answer), body.
// Numbers are big-endian, texts have their length in 2 bytes before them. Parent and child are the same binary, so there is one version at a time; the
// hello and its answer carry it all the same.
type frame struct {
	kind kind
	id   uint32
	body []byte
}

type kind byte

// The kinds of frames. The parent sends the first group, the child the second.
const (
	kindHello kind = iota + 1
	kindHold
	kindPrepare
	kindRelay
	kindDrop
	kindAnnounce
	kindProbe
	kindBye

	kindReady
	kindDone
	kindEvent
	kindLog
	kindEnd // behind the last one
)

const (
	magic        = "HFVG"
	version      = 1
	frameHeader  = 5
	maxFrame     = 32 << 10
	maxAddresses = 64
	maxHops      = 2 * maxAddresses
	maxClaims    = maxAddresses
	maxText      = 1 << 10
	maxWait      = time.Minute // of a probe, and of a relay's linger
)

// encode gives the bytes of the frame.
func (f frame) encode() []byte {
	b := make([]byte, frameHeader, frameHeader+len(f.body))
	b[0] = byte(f.kind)
	binary.BigEndian.PutUint32(b[1:], f.id)
	return append(b, f.body...)
}

// decodeFrame reads a frame; the body is that part of data, not a copy.
func decodeFrame(data []byte) (frame, error) {
	switch {
	case len(data) < frameHeader:
		return frame{}, fmt.Errorf("a frame of %d bytes is too short", len(data))
	case len(data) > maxFrame:
		return frame{}, fmt.Errorf("a frame of %d bytes is too long", len(data))
	case data[0] == 0 || kind(data[0]) >= kindEnd:
		return frame{}, fmt.Errorf("%d is no kind of frame", data[0])
	}
	return frame{kind: kind(data[0]), id: binary.BigEndian.Uint32(data[1:]), body: data[frameHeader:]}, nil
}

// hello is the first frame: what the child is for.
type hello struct {
	addresses []vip.Address
	lease     time.Duration
	listener  bool // descriptor 4 is the peer port's listener
}

func (h hello) encode() []byte {
	b := append([]byte(magic), version)
	b = append(b, boolByte(h.listener))
	b = binary.BigEndian.AppendUint64(b, uint64(h.lease))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.addresses)))
	for _, a := range h.addresses {
		b = appendText(b, a.String())
	}
	return b
}

func decodeHello(body []byte) (hello, error) {
	r := reader{b: body}
	if err := r.head(); err != nil {
		return hello{}, err
	}
	h := hello{listener: r.bool(), lease: time.Duration(r.int64())}
	for range r.count(maxAddresses) {
		h.addresses = append(h.addresses, r.address())
	}
	if err := r.end(); err != nil {
		return hello{}, fmt.Errorf("hello: %w", err)
	}
	return h, checkOptions(h.addresses, h.lease)
}

// encodeReady is the answer to a hello.
func encodeReady() []byte { return append([]byte(magic), version) }

func decodeReady(body []byte) error {
	r := reader{b: body}
	return errors.Join(r.head(), r.end())
}

// encodeTime is the body of Hold and Prepare (a deadline), and of Drop and Probe (a duration): nanoseconds.
func encodeTime[T ~int64](t T) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t)) }

func decodeUntil(body []byte) (vip.Deadline, error) {
	r := reader{b: body}
	t := r.int64()
	if err := r.end(); err != nil {
		return 0, err
	}
	if t <= 0 {
		return 0, fmt.Errorf("%d is no deadline", t)
	}
	return vip.Deadline(t), nil
}

func decodeWait(body []byte) (time.Duration, error) {
	r := reader{b: body}
	d := time.Duration(r.int64())
	if err := r.end(); err != nil {
		return 0, err
	}
	if d < 0 || d > maxWait {
		return 0, fmt.Errorf("%d ns is no time from 0 to %v", d, maxWait)
	}
	return d, nil
}

func appendHops(b []byte, hops []vip.Hop) []byte {
	hops = hops[:min(len(hops), maxHops)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(hops)))
	for _, h := range hops {
		b = appendText(b, h.Interface)
		b = appendText(b, h.Addr.String())
	}
	return b
}

func decodeHops(body []byte) ([]vip.Hop, error) {
	r := reader{b: body}
	hops := r.hops()
	return hops, r.end()
}

// answer is the end of a request. err is nil, or one of its codes with a text.
type answer struct {
	err    error
	free   bool // the machine has none of the addresses
	hops   []vip.Hop
	claims []vip.Claim
}

// The codes of an answer.
const (
	codeDone byte = iota
	codeFailed
	codeTooLate
	codeNoRelay
)

func (a answer) encode() []byte {
	code, text := codeDone, ""
	switch {
	case a.err == nil:
	case errors.Is(a.err, vip.ErrTooLate):
		code = codeTooLate
	case errors.Is(a.err, vip.ErrNoRelay):
		code = codeNoRelay
	default:
		code = codeFailed
	}
	if a.err != nil {
		text = a.err.Error()
	}
	b := appendText([]byte{code, boolByte(a.free)}, text)
	b = appendHops(b, a.hops)
	claims := a.claims[:min(len(a.claims), maxClaims)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(claims)))
	for _, c := range claims {
		b = appendText(b, c.Address.String())
		b = appendText(b, c.Hardware)
	}
	return b
}

func decodeAnswer(body []byte) (answer, error) {
	r := reader{b: body}
	code, free, text := r.byte(), r.bool(), r.text()
	a := answer{free: free, hops: r.hops()}
	for range r.count(maxClaims) {
		a.claims = append(a.claims, vip.Claim{Address: r.address(), Hardware: r.text()})
	}
	if err := r.end(); err != nil {
		return answer{}, err
	}
	switch code {
	case codeDone:
	case codeFailed:
		a.err = errors.New(text)
	case codeTooLate:
		a.err = &remoteError{text: text, is: vip.ErrTooLate}
	case codeNoRelay:
		a.err = &remoteError{text: text, is: vip.ErrNoRelay}
	default:
		return answer{}, fmt.Errorf("%d is no code of an answer", code)
	}
	return a, nil
}

// remoteError is an error of the child that the parent knows; its text is the child's.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// note is an event, and whether it says that the addresses are gone for good, until the next Hold.
type note struct {
	vip.Event
	gone bool
}

func (n note) encode() []byte {
	b := []byte{boolByte(n.gone), byte(n.Kind)}
	b = appendText(b, n.Interface)
	claimed := ""
	if n.Claim.Address.Prefix.IsValid() {
		claimed = n.Claim.Address.String()
	}
	b = appendText(b, claimed)
	b = appendText(b, n.Claim.Hardware)
	return appendText(b, n.Text)
}

func decodeNote(body []byte) (note, error) {
	r := reader{b: body}
	n := note{gone: r.bool()}
	n.Kind = vip.EventKind(r.byte())
	n.Interface = r.text()
	if claimed := r.text(); claimed != "" {
		n.Claim.Address = r.parse(claimed)
	}
	n.Claim.Hardware, n.Text = r.text(), r.text()
	if n.Kind > vip.EventRestored {
		r.fail("%d is no kind of event", n.Kind)
	}
	return n, r.end()
}

// line is one of the child's log.
type line struct {
	level slog.Level
	text  string
}

func (l line) encode() []byte { return appendText([]byte{byte(int8(l.level))}, l.text) }

func decodeLine(body []byte) (line, error) {
	r := reader{b: body}
	l := line{level: slog.Level(int8(r.byte())), text: r.text()}
	return l, r.end()
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendText cuts what is longer than maxText: it is for people.
func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), maxText)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// reader takes a body apart. The first thing that is wrong is its error; what is read after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.b) < n {
		r.fail("it ends too early: %d bytes are left, %d are wanted", len(r.b), n)
		return make([]byte, min(n, 8))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail("%d is neither 0 nor 1", b)
	}
	return b == 1
}

func (r *reader) int64() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }

// count reads a number of things, at most limit; 0 after an error, so that loops over it end.
func (r *reader) count(limit int) int {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > limit {
		r.fail("%d of them, more than %d", n, limit)
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) text() string {
	n := r.count(maxText)
	if r.err != nil {
		return ""
	}
	return string(r.take(n))
}

func (r *reader) parse(s string) vip.Address {
	if r.err != nil {
		return vip.Address{}
	}
	a, err := vip.ParseAddress(s)
	if err != nil {
		r.fail("%w", err)
	}
	return a
}

func (r *reader) address() vip.Address { return r.parse(r.text()) }

func (r *reader) hops() []vip.Hop {
	var hops []vip.Hop
	for range r.count(maxHops) {
		iface, text := r.text(), r.text()
		if r.err != nil {
			return nil
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			r.fail("%w", err)
		}
		hops = append(hops, vip.Hop{Interface: iface, Addr: ip})
	}
	return hops
}

// head reads what a hello and its answer begin with.
func (r *reader) head() error {
	if got := string(r.take(len(magic))); got != magic {
		r.fail("it does not begin with %q: the other end of the socket is no guard", magic)
	}
	if v := r.byte(); v != version && r.err == nil {
		r.fail("version %d of the frames, not %d", v, version)
	}
	return r.err
}

// end gives the error of the body: what went wrong, or what is left over.
func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

// checkOptions refuses what no guard can keep.
func checkOptions(addrs []vip.Address, lease time.Duration) error {
	switch {
	case len(addrs) == 0:
		return errors.New("no virtual address to guard")
	case len(addrs) > maxAddresses:
		return fmt.Errorf("%d virtual addresses are more than %d", len(addrs), maxAddresses)
	case lease < time.Second || lease%time.Second != 0 || lease > 10*time.Second:
		return fmt.Errorf("the kernel's lease of %v is not whole seconds, from one to ten: the kernel counts so, and longer is no last resort", lease)
	}
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		if _, err := vip.ParseAddress(a.String()); err != nil {
			return fmt.Errorf("virtual address: %w", err)
		}
		if seen[a.IP()] {
			return fmt.Errorf("the virtual address %s is named twice", a.IP())
		}
		seen[a.IP()] = true
	}
	return nil
}
