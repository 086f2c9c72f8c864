package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// screen shows what happens: a line for each event, and on a terminal a bar below them that is redrawn.
type screen struct {
	out              io.Writer
	terminal, colour bool

	mu     sync.Mutex
	drawn  bool // the bar is on the screen
	rec    *record.Recorder
	length time.Duration
	stop   chan struct{}
	done   sync.WaitGroup
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if file, ok := out.(*os.File); ok {
		s.terminal = term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	}
	_, noColour := os.LookupEnv("NO_COLOR") // https://no-color.org
	s.colour = s.terminal && !noColour
	return s
}

func (s *screen) paint(code, text string) string {
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	_, _ = io.WriteString(s.out, text)
	s.draw()
}

func (s *screen) title(title, about string) {
	s.print("\n" + s.paint("1", title) + "\n" + s.paint("2", about) + "\n")
}

// colours of the lines, by the kind of the event.
var colours = map[record.Kind]string{record.FaultBegins: "31", record.FaultEnds: "32", record.LeaderIs: "36", record.HolderIs: "36", record.Noted: "2"}

// follow shows the events of a run as they happen, until close.
func (s *screen) follow(rec *record.Recorder, length time.Duration) {
	rec.Listen(func(e record.Event) {
		s.print(fmt.Sprintf("%7.1fs  %s  %s\n", e.At.Seconds(), s.paint("2", fmt.Sprintf("%-7s", e.Kind)), s.paint(colours[e.Kind], clean(e.Text))))
	})
	if !s.terminal {
		return
	}
	s.mu.Lock()
	s.rec, s.length, s.stop = rec, length, make(chan struct{})
	stop := s.stop
	s.mu.Unlock()
	s.done.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.print("")
			case <-stop:
				return
			}
		}
	})
}

// close ends the bar; what was said stays.
func (s *screen) close() {
	s.mu.Lock()
	s.erase()
	stop := s.stop
	s.rec, s.stop = nil, nil
	s.mu.Unlock()
	if stop != nil {
		close(stop)
		s.done.Wait()
	}
}

// erase takes the bar off the screen; mu is held.
func (s *screen) erase() {
	if s.drawn {
		_, _ = io.WriteString(s.out, "\r\x1b[K")
		s.drawn = false
	}
}

// draw puts the bar below what is there; mu is held.
func (s *screen) draw() {
	if s.rec == nil {
		return
	}
	_, _ = io.WriteString(s.out, s.bar(s.rec.Snapshot()))
	s.drawn = true
}

// bar is one line about a run that goes on.
func (s *screen) bar(run *record.Run) string {
	const width = 24
	filled := min(width, int(width*run.Took/max(s.length, 1)))
	text := s.paint("32", strings.Repeat("━", filled)) + s.paint("2", strings.Repeat("━", width-filled))
	leader, rate, p99 := "nobody", 0, 0.0
	if n := len(run.Series); n > 0 {
		last := run.Series[n-1]
		if last.Leader != "" {
			leader = last.Leader
		}
		rate, p99 = last.Requests, last.P99
	}
	_, failed, _ := run.Requests()
	return fmt.Sprintf("%s %s  %s leads  %d/s  p99 %.1f ms  %d sessions  %d failed", text, record.Short(run.Took), leader, rate, p99, run.Sessions, failed)
}

// verdict says how a run went.
func (s *screen) verdict(r *record.Run) {
	all, failed, _ := r.Requests()
	text := s.paint("32;1", "passed")
	switch r.Verdict {
	case record.Failed:
		text = s.paint("31;1", "BROKEN")
	case record.Errored:
		text = s.paint("33;1", "could not be played") + ": " + clean(r.Problem)
	}
	played := len(r.Played())
	faults := fmt.Sprintf("%d faults", played)
	if void := len(r.Faults) - played; void > 0 {
		faults += fmt.Sprintf(" (%d more not played)", void)
	}
	s.print(fmt.Sprintf("%s  %s seed %d: %d sessions, %d of %d requests failed, %s, %s\n", text, r.Scenario, r.Seed, r.Sessions, failed, all, faults, record.Short(r.Took)))
	for _, c := range r.Broken() {
		s.print(fmt.Sprintf("  %s: %s\n", s.paint("31", c.Name), clean(c.Saw)))
		for _, v := range c.Violations[:min(len(c.Violations), 5)] {
			s.print("    " + clean(v) + "\n")
		}
		if c.Count > 5 {
			s.print(fmt.Sprintf("    and %d more\n", c.Count-5))
		}
	}
}

func (s *screen) where(out string) { s.print("\nthe report: " + out + "/report.html\n") }

// clean makes control characters harmless, and one line of several: text of processes must not steer the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '|'
		case r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			return '?'
		}
		return r
	}, text)
}
