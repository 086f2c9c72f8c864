package check

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Answered and InTime are the names of the checks of what clients had to bear. They are two because a machine that stands still makes clients wait, and that alone: only a broken InTime is worth another try.
const (
	Answered = "requests-answered"
	InTime   = "requests-in-time"
)

// always lists the checks that hold at each moment.
func always() []Check {
	of := func(name, about string, judge func(context.Context, *Evidence) verdict) Check {
		return Check{Name: name, When: record.Always, About: about, judge: judge}
	}
	return []Check{
		of("sessions-stay", "A session is answered by the instance that its client was told, which knows it, unless it had an occasion to leave.",
			rules("answers of %s, each by the instance that its client was told", "sessions left their instance, or were forgotten there", ledger.Moved, ledger.Reset)),
		of("answers-own", "No client gets another client's answer.", rules("answers to %s, each their own", "answers were another client's", ledger.Crossed)),
		of("requests-once", "What must not be repeated arrives as it was sent, and once.",
			rules("uploads and requests of %s, none executed twice or changed", "requests were executed twice, or changed", ledger.Twice, ledger.Garbled)),
		of("cookies-authentic", "No forged cookie is honoured.", authentic),
		of("cookies-outdated", "A cookie from before a move of its session, or from an older epoch, leads to where the session is.", outdated),
		of("clusters-apart", "No session is answered by an instance of another cluster.",
			rules("answers of %s, none from another cluster", "answers came from another cluster", ledger.Strayed)),
		of(Answered, "No more requests fail, or are refused with a status of 500 or above, than the scenario allows.", answered),
		of(InTime, "No request waits, and there is no time without any answer, longer than the scenario allows.", inTime),
		of("quiesce-rules", "From the start of a quiesce on nothing new goes there, and it ends once.", quiesces),
		of("backups-whole", "Every backup can be read back, and its digest is that of what is in it.", backups),
		of("never-backwards", "Index, term and revision that somebody was told never go down.",
			watched("term and index only went up", func(w *Watch) *verdict { return &w.back })),
		of("one-state", "Two nodes that have applied the same index have the same state, and none finds that its own is another.",
			watched("no two states at one index", func(w *Watch) *verdict { return &w.split })),
		of("address-once", "The virtual address is never on two nodes for longer than the lease.",
			address),
	}
}

// address judges by the nodes' words, and, where they can be seen, by their kernels and the link.
func address(ctx context.Context, e *Evidence) verdict {
	v := watched("never on two nodes beyond the lease", func(w *Watch) *verdict { return &w.twice })(ctx, e)
	if e.Address == nil {
		if !e.Watch.addressed() {
			v.none("the group has no virtual address")
		}
		return v
	}
	kernels, link, taken, strangers := e.Address()
	v.saw += sprintf("; taken %s, on two at once for %s at most by their kernels (planned hand-overs apart), %s on the link", count(taken, "time"), record.Short(kernels), record.Short(link))
	for _, seen := range []struct {
		took time.Duration
		how  string
	}{{kernels, "two nodes' kernels had the virtual address at once for %s"}, {link, "two nodes answered for the virtual address on the link, in turns, for %s"}} {
		if seen.took > leaseBound {
			v.breaks(seen.how, record.Short(seen.took))
		}
	}
	if strangers > 0 {
		v.breaks("machines that are no node claimed the virtual address, %s", count(strangers, "time"))
	}
	return v
}

// rules judges by what the ledger has noted of the rules.
func rules(good, bad string, which ...ledger.Rule) func(context.Context, *Evidence) verdict {
	return func(_ context.Context, e *Evidence) (v verdict) {
		all, _ := e.Ledger.Violations()
		counts := e.Ledger.Count()
		for _, rule := range which {
			for _, found := range all {
				if found.Rule == rule && len(v.violations) < maxShown {
					v.violations = append(v.violations, found.String())
				}
			}
			v.count += counts[rule]
		}
		v.saw = sprintf(good, count(e.Ledger.Len(), "session"))
		if v.count > 0 {
			v.saw = record.Number(v.count) + " " + bad
		}
		if e.Ledger.Len() == 0 {
			v.none("no session was answered")
		}
		return v
	}
}

// authentic says how many cookies were forged: without any, nothing was tried.
func authentic(ctx context.Context, e *Evidence) verdict {
	forged := 0
	if e.Forged != nil {
		forged = e.Forged()
	}
	shown := count(forged, "forged cookie")
	v := rules("%s; "+shown+" shown, none believed", "forged cookies were honoured", ledger.Forged)(ctx, e)
	if forged == 0 {
		v.none("no cookie was forged")
	}
	return v
}

func outdated(ctx context.Context, e *Evidence) verdict {
	if e.Ledger.Old() == 0 {
		v := rules("%s", "older cookies led elsewhere", ledger.Outdated)(ctx, e)
		v.none("no older cookie was shown")
		return v
	}
	shown := count(e.Ledger.Old(), "older cookie") + " shown"
	return rules("%s; "+shown+", each led to where its session is", "of "+shown+" led elsewhere", ledger.Outdated)(ctx, e)
}

func backups(_ context.Context, e *Evidence) (v verdict) {
	v.saw = sprintf("%s read back, each whole", count(len(e.Backups.taken.list()), "backup"))
	if len(e.Backups.taken.list()) == 0 {
		v.none("no backup was taken")
	}
	for i, problem := range e.Backups.taken.list() {
		if problem != nil {
			v.breaks("backup %d cannot be read back: %v", i+1, problem)
			v.saw = sprintf("%s of %s cannot be read back", record.Number(v.count), count(len(e.Backups.taken.list()), "backup"))
		}
	}
	return v
}

// answered judges what became of the requests.
func answered(_ context.Context, e *Evidence) (v verdict) {
	all, failed, refused := e.Recorder.Snapshot().Requests()
	v.saw = sprintf("%s, %s failed, %s refused", count(all, "request"), record.Number(failed), record.Number(refused))
	if all == 0 {
		v.none("no request was made")
	}
	for _, n := range []struct {
		got, most int
		noun, did string
	}{{failed, e.Budget.Failed, "request", "got no good answer"}, {refused, e.Budget.Refused, "answer", "had a status of 500 or above"}} {
		if n.got > n.most {
			e.mu.Lock()
			v.breaks("%s %s, the scenario allows %s; the first: %s", count(n.got, n.noun), n.did, record.Number(n.most), strings.Join(e.bad, "; "))
			e.mu.Unlock()
		}
	}
	return v
}

// inTime judges how long clients waited.
func inTime(_ context.Context, e *Evidence) (v verdict) {
	outage, slowest := e.Recorder.Snapshot().Worst()
	v.saw = sprintf("at most %s without an answer, one request waited %s", record.Short(outage), record.Short(slowest))
	if e.Budget.Outage <= 0 && e.Budget.Slowest <= 0 {
		v.none("%s; the scenario limits neither", v.saw)
	}
	for _, d := range []struct {
		got, most time.Duration
		what      string
	}{{outage, e.Budget.Outage, "nobody had an answer for"}, {slowest, e.Budget.Slowest, "a request waited for"}} {
		if d.most > 0 && d.got > d.most {
			v.breaks("%s %s, the scenario allows %s", d.what, record.Short(d.got), record.Short(d.most))
		}
	}
	return v
}

func quiesces(_ context.Context, e *Evidence) verdict {
	v, some, sessions, opened, ended := e.Quiesces.state()
	v.saw = sprintf("%s began, %s; %s, none at an instance that quiesces", count(opened, "quiesce"), sprintf("%s ended, each once", record.Number(ended)), count(sessions, "new session"))
	if !some {
		v.none("no quiesce began")
	}
	if v.count > 0 {
		v.saw = sprintf("%s began, %s ended; of %s and these ends, %s broke a rule", count(opened, "quiesce"), record.Number(ended), count(sessions, "new session"), record.Number(v.count))
	}
	return v
}

// watched judges by what the watch has noted.
func watched(good string, which func(*Watch) *verdict) func(context.Context, *Evidence) verdict {
	return func(_ context.Context, e *Evidence) verdict {
		v, looks := e.Watch.state(which)
		v.saw = sprintf("%s in %s at the group", good, count(looks, "look"))
		if v.count > 0 {
			v.saw = sprintf("not so in %s of %s at the group", record.Number(v.count), count(looks, "look"))
		}
		if looks == 0 {
			v.none("nobody looked at the group")
		}
		return v
	}
}
