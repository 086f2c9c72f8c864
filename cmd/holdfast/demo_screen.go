package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// demoStyle colours text, or leaves it as it is.
type demoStyle struct{ colour bool }

func (s demoStyle) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s demoStyle) bold(text string) string  { return s.paint("1", text) }
func (s demoStyle) dim(text string) string   { return s.paint("2", text) }
func (s demoStyle) green(text string) string { return s.paint("32", text) }
func (s demoStyle) red(text string) string   { return s.paint("31", text) }

// demoScreen shows what happens. On a terminal events scroll up above a block that is redrawn; elsewhere there are plain
// lines only.
type demoScreen struct {
	out      io.Writer
	terminal bool
	style    demoStyle
	began    time.Time

	mu    sync.Mutex
	lines int // of the block that is on the screen
	block func() []string
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func newDemoScreen(out io.Writer) *demoScreen {
	s := &demoScreen{out: out, began: time.Now()}
	if file, ok := out.(*os.File); ok {
		s.terminal = term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	}
	_, noColour := os.LookupEnv("NO_COLOR") // https://no-color.org
	s.style.colour = s.terminal && !noColour
	return s
}

func (s *demoScreen) print(text string) { _, _ = io.WriteString(s.out, text) }

func (s *demoScreen) title() {
	s.print(s.style.bold("holdfast demo") + "  three nodes, three instances, live sessions, one SIGKILL\n\n")
}

// say prints an event with its time.
func (s *demoScreen) say(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	at := fmt.Sprintf("%6.1fs  ", time.Since(s.began).Seconds())
	if strings.Contains(event, "SIGKILL") {
		event = s.style.red(event)
	}
	s.print(s.style.dim(at) + event + "\n")
	s.draw()
}

// erase takes the block off the screen; mu is held.
func (s *demoScreen) erase() {
	if s.lines > 0 {
		s.print(fmt.Sprintf("\x1b[%dA\x1b[J", s.lines))
		s.lines = 0
	}
}

// draw puts the block below what is there; mu is held.
func (s *demoScreen) draw() {
	if s.block == nil || !s.terminal {
		return
	}
	lines := s.block()
	s.print("\n" + strings.Join(lines, "\n") + "\n")
	s.lines = len(lines) + 1
}

// watch gives a function that begins to show a load: redrawn ten times a second on a terminal, a line in two seconds
// elsewhere.
func (s *demoScreen) watch(ctx context.Context, st *stage.Stage, sessions int) func(*load.Load) {
	return func(l *load.Load) {
		ctx, s.stop = context.WithCancel(ctx)
		roles := &demoRoles{stage: st, role: map[string]string{}}
		s.done.Go(func() { roles.run(ctx) })
		every := 2 * time.Second
		if s.terminal {
			every = 100 * time.Millisecond
			s.mu.Lock()
			s.block = func() []string { return demoBlock(s.style, roles, l, sessions) }
			s.mu.Unlock()
		}
		s.done.Go(func() { s.refresh(ctx, every, l, sessions) })
	}
}

func (s *demoScreen) refresh(ctx context.Context, every time.Duration, l *load.Load, sessions int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := -1; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !s.terminal {
			if n := l.Ledger.Len(); n != last {
				last = n
				s.say(fmt.Sprintf("%d sessions, %d requests, %d failed, %d retried", n, l.Record.Requests.Load(), l.Record.Failed.Load(), l.Record.Retried.Load()))
			}
			continue
		}
		s.mu.Lock()
		s.erase()
		s.draw()
		s.mu.Unlock()
	}
}

// close ends the display; what was said stays. It may be called twice.
func (s *demoScreen) close() {
	if s.stop != nil {
		s.stop()
	}
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.block = nil
}

// demoBlock is what a terminal shows while the load runs.
func demoBlock(style demoStyle, roles *demoRoles, l *load.Load, sessions int) []string {
	const width = 40
	have := l.Ledger.Len()
	filled := min(width, width*have/sessions)
	bar := style.green(strings.Repeat("━", filled)) + style.dim(strings.Repeat("━", width-filled))
	var nodes, instances []string
	for _, n := range roles.stage.Group.Nodes {
		role := roles.of(n.Name)
		text := fmt.Sprintf("%s %-9s", n.Name, role)
		switch role {
		case "leader":
			text = style.bold(text)
		case "dead":
			text = style.red(text)
		}
		nodes = append(nodes, text)
	}
	on := l.Ledger.ByInstance()
	for _, i := range roles.stage.Instances {
		instances = append(instances, fmt.Sprintf("%s %-6d", i.Name, on[i.Name]))
	}
	r := &l.Record
	return []string{
		"  nodes      " + strings.Join(nodes, "   "),
		"  sessions   " + strings.Join(instances, "   "),
		"  requests   " + fmt.Sprintf("%d sent   %d failed   %d retried by the client", r.Requests.Load(), r.Failed.Load(), r.Retried.Load()),
		"  " + bar + fmt.Sprintf("  %d sessions", have),
	}
}

// demoRoles asks the nodes what they are.
type demoRoles struct {
	stage *stage.Stage
	mu    sync.Mutex
	role  map[string]string
}

func (r *demoRoles) of(node string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.role[node]
}

func (r *demoRoles) run(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, n := range r.stage.Group.Nodes {
			role := "dead"
			if n.Alive() {
				role = "starting"
				// A node's own word only: it may not know yet that another one has died.
				if status, err := n.Client.Status(ctx, client.Stale()); err == nil {
					role = "follower"
					if status.Leader == n.Name {
						role = "leader"
					}
				}
			}
			r.mu.Lock()
			r.role[n.Name] = role
			r.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
