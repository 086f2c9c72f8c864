package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestCopiesAreOneEvent: whoever of the members has refused the copy, and however often.
func TestCopiesAreOneEvent(t *testing.T) {
	g := startGroup(t, 2)
	g.configure(t, "http://127.0.0.1:1")
	seen := func(s *Server) (list []fsm.Event) {
		for _, e := range s.state.Events(0, 1000) {
			if e.Kind == fsm.EventCopyRefused {
				list = append(list, e)
			}
		}
		return list
	}
	for range 2 {
		for _, s := range g.servers {
			s.copied("n2", "10.0.0.2:7701", "10.0.0.9:7701")
			s.background.Wait()
		}
	}
	for _, s := range g.servers {
		eventually(t, "the event is there", func() error {
			if len(seen(s)) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		if list := seen(s); len(list) != 1 || list[0].Actor != "n2" || !strings.Contains(list[0].Text, "A copy of node n2 was refused at 10.0.0.9:7701: node n2 runs at 10.0.0.2:7701") {
			t.Errorf("%+v", list)
		}
	}
}
