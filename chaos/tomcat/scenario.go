package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

const cluster, contextRoot = "examples", "/examples"

// scenario is one run: three Tomcats, three nodes, and what is done to them.
type scenario struct {
	binary, dir string
	routed      bool // the Tomcats mark their session ids
	set         *proc.Set
	began       time.Time
	table       *summary

	tomcats []*tomcat
	group   *group.Group
	users   []*user
	ledger  *ledger.Ledger
}

func (s *scenario) say(format string, args ...any) {
	fmt.Printf("%6.1fs  %-17s %s\n", time.Since(s.began).Seconds(), modeName(s.routed), fmt.Sprintf(format, args...))
}

func (s *scenario) play(ctx context.Context, users int) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	s.ledger = ledger.New()
	for i := range users {
		s.users = append(s.users, &user{number: i, cookieless: i%10 == 9})
	}
	steps := []func(context.Context) error{
		s.login, s.killLeader, s.killFollower, s.killAll, s.sockets, s.killTomcat, s.agree, s.accessLogs,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	kept, broken := s.ledger.Violations()
	s.table.violations += broken
	for _, v := range kept[:min(len(kept), 10)] {
		s.say("VIOLATION %s", v)
	}
	return nil
}

// start brings up the Tomcats and the nodes, all at once, and gives the group its configuration.
func (s *scenario) start(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	ports, err := proc.Ports(3, "127.0.0.1")
	if err != nil {
		return err
	}
	for i, port := range ports {
		route := ""
		if s.routed {
			route = fmt.Sprintf("jvm%d", i+1)
		}
		t, err := startTomcat(s.set, s.dir, fmt.Sprintf("tomcat%d", i+1), port, route)
		if err != nil {
			return err
		}
		s.tomcats = append(s.tomcats, t)
	}
	if s.group, err = group.New(ctx, group.Options{Binary: s.binary, Dir: s.dir, Set: s.set}); err != nil {
		return err
	}
	if err := s.group.Start(ctx); err != nil {
		return err
	}
	if err := s.group.Apply(ctx, s.configuration()); err != nil {
		return err
	}
	if err := s.group.Serving(ctx); err != nil {
		return err
	}
	for _, t := range s.tomcats {
		if err := t.ready(ctx); err != nil {
			return err
		}
	}
	s.say("three Tomcats and three nodes are ready")
	return nil
}

func (s *scenario) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q}\nclusters:\n  - name: %s\n", s.group.Listener(), cluster)
	fmt.Fprintf(&b, "    affinity: {type: learn, names: [JSESSIONID]}\n    health: {path: %s/index.html, interval: 1s, timeout: 5s}\n", contextRoot)
	fmt.Fprintf(&b, "    modules:\n      - {contextRoot: %s}\n    instances:\n", contextRoot)
	for i, t := range s.tomcats {
		fmt.Fprintf(&b, "      - {name: %s, listeners: [\"http://%s\"]", t.name, t.addr)
		if s.routed {
			fmt.Fprintf(&b, ", route: jvm%d", i+1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// login gives every user a session with three attributes.
func (s *scenario) login(ctx context.Context) error {
	if err := s.round(ctx, "new sessions", 1, nil); err != nil {
		return err
	}
	return s.fill(ctx)
}

// fill posts three attributes into each session.
func (s *scenario) fill(ctx context.Context) error {
	for _, u := range s.users {
		u.attributes = map[string]string{}
	}
	for i, name := range []string{"user", "cart", "colour"} {
		err := s.forEach(ctx, func(b *browser, u *user) error {
			value := fmt.Sprintf("%s-of-%d", name, u.number)
			p, err := b.visit(ctx, u, u.number+i, url.Values{"dataname": {name}, "datavalue": {value}})
			if err != nil {
				return err
			}
			u.attributes[name] = value
			s.check(u, p, s.group.Nodes[(u.number+i)%3].Name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) killLeader(ctx context.Context) error {
	leader, err := s.group.Leader(ctx)
	if err != nil {
		return err
	}
	socket, err := s.heldSocket(leader)
	if err != nil {
		return err
	}
	err = s.round(ctx, "leader killed", 4, func(context.Context) error { leader.Kill(); return nil })
	if err != nil {
		return err
	}
	if err := socket.echo("after the death of the leader"); err != nil {
		return fmt.Errorf("a WebSocket through a follower did not survive the leader: %w", err)
	}
	socket.close()
	return leader.Restart(ctx)
}

func (s *scenario) killFollower(ctx context.Context) error {
	leader, err := s.group.Leader(ctx)
	if err != nil {
		return err
	}
	follower := s.group.Other(leader)
	err = s.round(ctx, "follower killed", 4, func(context.Context) error { follower.Kill(); return nil })
	if err != nil {
		return err
	}
	return follower.Restart(ctx)
}

func (s *scenario) killAll(ctx context.Context) error {
	return s.round(ctx, "all nodes killed", 4, func(ctx context.Context) error {
		for _, n := range s.group.Nodes {
			n.Kill()
		}
		return s.group.Start(ctx)
	})
}
