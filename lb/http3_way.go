package lb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// quicWay leads from a process to the one that takes its sockets of HTTP/3 over. One of them reads a socket, and passes on what is for connections of the other one; both write to
// it. It is a pair of sockets of kind SOCK_SEQPACKET: each message is whole, and the end of one process shows at the other one.
type quicWay struct {
	conn *net.UnixConn
	raw  syscall.RawConn
}

// The first byte of a message says what it is.
const (
	// wayBegin is from the next process: it is ready to read the socket.
	wayBegin = 'b'
	// wayYours answers: the process before reads no more. A byte follows, which its connection ids have (connectionIDs.process).
	wayYours = 'y'
	// wayDatagram is a datagram for the process before: one byte each with the lengths of the zone and of the control messages, two of the client's port, 16 of its address, zone, control messages, data.
	wayDatagram = 'd'
)

const wayHead = 1 + 1 + 1 + 2 + 16

// wayMost is the largest message in bytes.
const wayMost = wayHead + 2*0xff + maxDatagram

var errWay = errors.New("a message between two processes that cannot be understood")

// wayPacket is a datagram as the kernel gave it: with its control messages, which say to which address it has come.
type wayPacket struct {
	from      netip.AddrPort
	oob, data []byte
}

func (p wayPacket) encode() ([]byte, error) {
	zone := p.from.Addr().Zone()
	if len(zone) > 0xff || len(p.oob) > 0xff || len(p.data) > maxDatagram {
		return nil, fmt.Errorf("%w: a datagram of %d bytes, with %d bytes of control messages", errWay, len(p.data), len(p.oob))
	}
	b := make([]byte, 0, wayHead+len(zone)+len(p.oob)+len(p.data))
	b = append(b, wayDatagram, byte(len(zone)), byte(len(p.oob)))
	b = binary.BigEndian.AppendUint16(b, p.from.Port())
	ip := p.from.Addr().As16()
	b = append(b, ip[:]...)
	b = append(b, zone...)
	b = append(b, p.oob...)
	return append(b, p.data...), nil
}

// decodeWayPacket reads what encode has written; it keeps none of b.
func decodeWayPacket(b []byte) (p wayPacket, err error) {
	if len(b) < wayHead || b[0] != wayDatagram || len(b) > wayMost {
		return p, fmt.Errorf("%w: %d bytes", errWay, len(b))
	}
	zone, oob := int(b[1]), int(b[2])
	if len(b) < wayHead+zone+oob {
		return p, fmt.Errorf("%w: %d bytes, with %d of a zone and %d of control messages", errWay, len(b), zone, oob)
	}
	if len(b)-wayHead-zone-oob > maxDatagram {
		return p, fmt.Errorf("%w: %d bytes", errWay, len(b))
	}
	addr := netip.AddrFrom16([16]byte(b[5:wayHead]))
	if rest := b[wayHead:]; zone > 0 {
		addr = addr.WithZone(string(rest[:zone]))
	}
	p.from = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[3:5]))
	rest := append([]byte(nil), b[wayHead+zone:]...)
	p.oob, p.data = rest[:oob:oob], rest[oob:]
	return p, nil
}

func newQUICWay(conn *net.UnixConn) (*quicWay, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &quicWay{conn, raw}, nil
}

// send waits for nobody: when the other process is behind, the message is lost, as a datagram may be on its way here.
func (w *quicWay) send(b []byte) (err error) {
	failed := w.raw.Write(func(fd uintptr) bool {
		_, err = syscall.Write(int(fd), b)
		return true
	})
	return errors.Join(failed, err)
}

// hear calls take with each message until the other process closes its end, take fails, or this one closes the way: then it closes it. take keeps nothing of what it gets.
func (w *quicWay) hear(take func([]byte) error) error {
	defer w.conn.Close()
	buf := make([]byte, wayMost+1)
	for {
		n, err := w.conn.Read(buf)
		if err == nil && n == 0 {
			err = errWay
		}
		if err == nil {
			err = take(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}
