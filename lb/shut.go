package lb

import (
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// shutTime is how long a client of HTTP/2 or HTTP/3 may take nothing of a response that waits for it, where proxy.timeouts.send does not say: it shuts the window of one stream and
// goes on with others, so that nothing is stuck but the instance's connection. Who has paused a download may mean to go on.
const shutTime = 5 * time.Minute

// shut bounds how long a piece of a response waits for such a client; nil is no bound.
type shut struct {
	x     *exchange
	alarm *alarm

	mu     sync.Mutex
	writes int       // under way, one of which may wait for another one
	since  time.Time // when the first of them has begun, or one has ended
	over   bool      // the alarm is another one's
}

var errShut = [...]*wire.Error{{Status: http.StatusBadRequest, Reason: "HTTP/2: window shut for too long"}, {Status: http.StatusBadRequest, Reason: "HTTP/3: window shut for too long"}}

func (x *exchange) newShut() *shut {
	if !x.multiplexed() || x.edge.send > 0 {
		return nil
	}
	s := &shut{x: x}
	s.mu.Lock() // it may ring at once
	defer s.mu.Unlock()
	s.alarm = newAlarm(s, x.b.opts.shut)
	return s
}

// begin and stop are around each write, and around each wait for one.
func (s *shut) begin() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes++; s.writes == 1 {
		s.since = time.Now()
	}
}

func (s *shut) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes--
	s.since = time.Now()
}

// inTime has a write of a response bounded that is none of its body's pieces.
func (x *exchange) inTime(write func() error) error {
	s := x.newShut()
	defer s.end()
	s.begin()
	defer s.stop()
	return write()
}

// end comes before the handler returns.
func (s *shut) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.alarm.end()
}

// ring ends the write that has waited for too long. The alarm is not set for each write: most are over at once.
func (s *shut) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	left := s.x.b.opts.shut
	if s.writes > 0 {
		if left -= time.Since(s.since); left <= 0 {
			s.x.b.metrics.Violation(errShut[min(max(s.x.r.ProtoMajor, 2), 3)-2])
			s.x.endSend()
			return
		}
	}
	s.alarm.timer.Reset(left)
}
