package lb

import (
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
)

// TestHTTP3ResetsInDisguise: a client that takes its requests back on one side of the stream only, or has them ended by what it sends, is cut off as one that takes them back; the instance has
// a bounded number of them.
func TestHTTP3ResetsInDisguise(t *testing.T) {
	const cancelled = 0x10c
	for name, attack := range map[string]func(s *quic.Stream){
		"by the side that sends alone": func(s *quic.Stream) {
			s.Write(append(postH3(), framedH3(0, []byte("x"))...))
			s.CancelWrite(cancelled)
		},
		"by the side that receives alone": func(s *quic.Stream) {
			s.Write(append(postH3(), framedH3(0, []byte("x"))...))
			s.Close()
			s.CancelRead(cancelled)
		},
		"by a body that is too long": func(s *quic.Stream) {
			s.Write(append(postH3("content-length", "2"), framedH3(0, []byte("x"))...))
			s.Write(framedH3(0, []byte("xx")))
		},
		"by a body that is too short": func(s *quic.Stream) {
			s.Write(append(postH3("content-length", "2"), framedH3(0, []byte("x"))...))
			s.Close()
		},
		"by trailers that are none": func(s *quic.Stream) {
			s.Write(append(postH3(), framedH3(0, []byte("x"))...))
			s.Write(framedH3(1, blockH3(":path", "/")))
		},
		"by a head that is none": func(s *quic.Stream) { s.Write(framedH3(1, blockH3(":method", "GET"))) },
	} {
		t.Run(name, func(t *testing.T) {
			quit := make(chan struct{})
			a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-quit:
				}
			})
			t.Cleanup(func() { close(quit) })
			r, ca := http3Rig(t, http3Conf(of(a)...))
			conn := dialQUIC(t, r, ca)
			go func() {
				for {
					s, err := conn.OpenStreamSync(conn.Context())
					if err != nil {
						return
					}
					attack(s)
				}
			}()
			if code := endOf(t, conn); code != 0x107 {
				t.Errorf("%#x", code)
			}
			if n := a.count(); n > mostTakenBack {
				t.Errorf("the instance has had %d requests", n)
			}
			r.wait("nothing is in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
		})
	}
}
