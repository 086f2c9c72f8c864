package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// old is the cookie of the load balancer that a user had before the present one, where the two name different instances: what a second device still has, or a page that is restored.
type old struct {
	cookie string
	of     string // the instance that answered when the present cookie came
}

// take puts the cookies of an answer into the jar, and keeps the load balancer's cookie that goes, if it is of another instance.
func (s *Session) take(headers []string, instance string) {
	before := s.Jar.Get(s.Kind.Cookie)
	for _, header := range headers {
		s.Jar.Take(header)
	}
	if now := s.Jar.Get(s.Kind.Cookie); now == before {
		return
	}
	if before != "" && s.old.of != "" && s.old.of != instance {
		s.old.cookie = before
	}
	s.old.of = instance
}

// ShowOld has every one of the users who had an older cookie, of another instance than the present one, come with the present one and then with the old one, through a node each. Both must lead to one instance:
// where a session is the group knows, and what a cookie says counts only where the group cannot know. The group must be well, and nobody else may use the sessions. It returns how many old cookies were answered; the error joins the first request of
// each worker that got no answer.
func (l *Load) ShowOld(ctx context.Context, sessions []*Session, workers int) (shown int, err error) {
	var next, count atomic.Int64
	errs := make([]error, workers)
	var all sync.WaitGroup
	for i := range workers {
		w := l.Worker()
		all.Go(func() {
			defer w.Close()
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(sessions) {
					return
				}
				if s := sessions[n]; s.old.cookie != "" && s.Entry != nil {
					err := w.showOld(ctx, s, n%len(l.options.Targets))
					if err == nil {
						count.Add(1)
					}
					errs[i] = first(errs[i], err)
				}
			}
		})
	}
	all.Wait()
	return int(count.Load()), errors.Join(append(errs, ctx.Err())...)
}

// showOld asks through the node after the one that the user comes to with the present cookie.
func (w *Worker) showOld(ctx context.Context, s *Session, node int) error {
	kind := s.Kind
	s.Kind.Socket = "" // it would take its time, and bring no cookie
	err := w.Visit(ctx, s, node)
	s.Kind = kind
	if err != nil {
		return err
	}
	again := &Session{Kind: s.Kind}
	again.Kind.Socket = ""
	again.Jar.Take(s.Kind.Cookie + "=" + s.old.cookie)
	seen := w.opens(again, false)
	answer, err := w.ask(ctx, again, (node+1)%len(w.load.options.Targets), &seen)
	w.load.tell(seen, answer, err)
	if err == nil {
		w.load.Ledger.ShownOld(s.Entry, answer)
	}
	return err
}
