package dns

import (
	"errors"
	"net"
	"runtime"
	"time"

	wire "github.com/miekg/dns"
)

// udpWorkers is how many goroutines read packets. Each reads, answers and sends by itself: so a flood takes no memory, it only overflows the socket's buffer.
func udpWorkers() int { return min(runtime.GOMAXPROCS(0), 4) }

// serveUDP answers packets until the socket is closed.
func (s *Server) serveUDP() {
	in, out := make([]byte, udpSize), make([]byte, 0, 4*udpSize)
	for {
		// A packet that is longer is cut off by the kernel, and then is no query that can be read.
		n, session, err := wire.ReadFromSessionUDP(s.packets, in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.noise.fail("DNS: reading packets failed", "error", err)
			if !s.wait(50 * time.Millisecond) {
				return
			}
			continue
		}
		from := session.RemoteAddr().(*net.UDPAddr).AddrPort().Addr()
		answer := s.respond(out[:0], in[:n], from, udp)
		if answer == nil {
			continue
		}
		// One that cannot be sent (no route, a full queue) is lost as a packet is lost: the client asks again.
		_, _ = wire.WriteToSessionUDP(s.packets, answer, session)
	}
}
