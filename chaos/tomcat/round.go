package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

const browsers = 16 // users that click at once

// forEach does the same for every user, several at once. It stops at the first error of each browser.
func (s *scenario) forEach(ctx context.Context, do func(*browser, *user) error) error {
	_, err := s.countEach(ctx, do)
	return err
}

func (s *scenario) countEach(ctx context.Context, do func(*browser, *user) error) (retried int, err error) {
	var nodes []string
	for _, n := range s.group.Nodes {
		nodes = append(nodes, n.Traffic)
	}
	var all sync.WaitGroup
	errs := make([]error, browsers)
	retries := make([]int, browsers)
	for i := range browsers {
		all.Go(func() {
			b := newBrowser(nodes)
			defer b.http.CloseIdleConnections()
			for at := i; at < len(s.users) && ctx.Err() == nil && errs[i] == nil; at += browsers {
				errs[i] = do(b, s.users[at])
			}
			retries[i] = b.retried
		})
	}
	all.Wait()
	for _, n := range retries {
		retried += n
	}
	return retried, errors.Join(append(errs, ctx.Err())...)
}

// round lets every user look at the page so many times, through one node after the other. hurt, if any, is done when half of
// the requests are answered, beside the other half; the round waits for it.
func (s *scenario) round(ctx context.Context, name string, visits int, hurt func(context.Context) error) error {
	_, before := s.ledger.Violations()
	began := time.Now()
	var answered, longest atomic.Int64
	var hurting sync.WaitGroup
	var hurtErr error
	var once sync.Once
	retried := 0
	for visit := range visits {
		n, err := s.countEach(ctx, func(b *browser, u *user) error {
			asked := time.Now()
			node := (u.number + visit) % len(b.nodes)
			p, err := b.visit(ctx, u, node, nil)
			if err != nil {
				return err
			}
			for wait := int64(time.Since(asked)); ; {
				if old := longest.Load(); wait <= old || longest.CompareAndSwap(old, wait) {
					break
				}
			}
			s.check(u, p, s.group.Nodes[node].Name)
			if hurt != nil && answered.Add(1) >= int64(visits*len(s.users)/2) {
				once.Do(func() { hurting.Go(func() { hurtErr = hurt(ctx) }) })
			}
			return nil
		})
		retried += n
		if err != nil {
			hurting.Wait()
			return errors.Join(err, hurtErr)
		}
	}
	hurting.Wait()
	_, after := s.ledger.Violations()
	row := row{
		mode: modeName(s.routed), phase: name, requests: visits * len(s.users), retried: retried, violations: after - before,
		longest: time.Duration(longest.Load()), took: time.Since(began),
	}
	s.table.rows = append(s.table.rows, row)
	s.say("%-18s %d requests, %d retried, %d violations", name, row.requests, retried, row.violations)
	return hurtErr
}

// check holds a page against what the user knows.
func (s *scenario) check(u *user, p page, node string) {
	answer := ledger.Answer{At: time.Now(), Node: node, Instance: p.instance, Session: p.id}
	u.id = p.id
	if u.entry == nil {
		kind := "cookie"
		if u.cookieless {
			kind = "rewritten URL"
		}
		u.entry = s.ledger.Told(kind, answer)
		return
	}
	moved := s.ledger.Moved(u.entry)
	s.ledger.Repeated(u.entry, answer)
	if s.ledger.Moved(u.entry) != moved {
		u.attributes = nil // Debian's examples replicate nothing: a session that moved begins empty
	}
	if name := u.missing(p); name != "" {
		s.ledger.Violate(ledger.Reset, u.entry, "attribute %q is lost, page of %s through node %s", name, p.instance, node)
	}
}
