//go:build servers

package attack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/hostile"
)

// TestRealServers sends the corpus through a real node to Tomcat, nginx and a Go server. What each of them says that it read is what was forwarded: each
// request that has one reading once, each innocent one behind it once, and nothing else.
func TestRealServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var set proc.Set
	defer set.Close()
	servers := realServers(t, &set)
	r := start(t, 0, Cluster{Name: "c", ContextRoot: "/", Instance: servers[0].Addr})
	for _, s := range servers {
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.Configure(ctx, Cluster{Name: "c", ContextRoot: "/", Instance: s.Addr}); err != nil {
			t.Fatal(err)
		}
		t.Run(s.Name, func(t *testing.T) { s.readsWhatIsForwarded(t, r.Addr) })
	}
}

func realServers(t *testing.T, set *proc.Set) []*Server {
	t.Helper()
	g, stop := GoServer()
	t.Cleanup(stop)
	all := []*Server{g}
	for name, start := range map[string]func(*proc.Set, string) (*Server, error){"nginx": Nginx, "tomcat": Tomcat} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := start(set, dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func (s *Server) readsWhatIsForwarded(t *testing.T, addr string) {
	before := s.upTo(t, addr, "/the-beginning") // and what found out that the server is up, which a log may have late
	trial := &hostile.Trial{Addr: addr, Loose: true}
	want := map[string]int{}
	connections, broken := 0, 0
	for _, r := range hostile.Requests() {
		for _, w := range []hostile.Way{{Name: "whole"}, {Name: "in pieces", Cuts: r.Cuts(10)}, {Name: "whole", Followed: true}, {Name: "in pieces", Followed: true, Cuts: r.Cuts(10)}} {
			if w.Followed && r.Cut() {
				continue
			}
			connections++
			for _, wrong := range trial.Try(r, w) {
				t.Errorf("%s, %s, followed %v: %s\n%.200q", r.Name, w.Name, w.Followed, wrong, r.Raw)
			}
			switch {
			case r.Body:
				broken++ // a server may log that a request broke off
			case !r.Refused():
				want[s.line(r.Sees.Method, r.Sees.Target, len(r.Sees.Body))]++
				if innocent := trial.Innocent(); innocent != "" {
					want[s.line("GET", innocent, 0)]++
				}
			}
		}
	}
	const end = "/the-end"
	read := s.upTo(t, addr, end)[len(before):]
	want[s.line("GET", end, 0)]++
	s.compare(t, read, want, broken)
	t.Logf("%d connections, %d requests forwarded, %d lines in the log of %s", connections, sum(want), len(read), s.Name)
}

// upTo sends a request by the node at addr, and gives what the server's log has up to that.
func (s *Server) upTo(t *testing.T, addr, fence string) (read []string) {
	t.Helper()
	if _, err := hostile.Ask(addr, fence); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log has "+fence, func() bool {
		all, err := s.Log()
		if err != nil {
			t.Fatal(err)
		}
		read = all
		return slices.Contains(all, s.line("GET", fence, 0))
	})
	return read[:slices.Index(read, s.line("GET", fence, 0))+1]
}

// line is how the log has a request.
func (s *Server) line(method, target string, body int) string {
	if s.Bodies {
		return fmt.Sprintf("%s %s %d", method, target, body)
	}
	return method + " " + target
}

func (s *Server) compare(t *testing.T, read []string, want map[string]int, broken int) {
	t.Helper()
	got := map[string]int{}
	for _, line := range read {
		if strings.HasPrefix(line, "POST /c") && broken > 0 {
			broken--
			continue
		}
		got[line]++
	}
	for line, n := range got {
		if want[line] != n {
			t.Errorf("%s read %.150q %d times, forwarded %d times", s.Name, line, n, want[line])
		}
	}
	for line, n := range want {
		if got[line] == 0 {
			t.Errorf("%s never read %.150q, forwarded %d times", s.Name, line, n)
		}
	}
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
