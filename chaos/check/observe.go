package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Teller is a Group that tells what happens to it.
type Teller interface {
	// Happened gives the group's events after a number, in order, as a node knows them.
	Happened(ctx context.Context, node string, after uint64) ([]client.Event, error)
}

// Observe looks at the group every so often until ctx ends: it keeps what the checks need, and records leader, holder and the group's own events
// for the time line. Where the Group is a Teller, events from before the beginning are left out.
func (e *Evidence) Observe(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	o := observer{evidence: e}
	for {
		o.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type observer struct {
	evidence *Evidence
	last     uint64 // number of the last event that was seen
	began    bool
}

func (o *observer) look(ctx context.Context) {
	e := o.evidence
	views := e.Group.Look(ctx)
	if ctx.Err() != nil {
		return // what was not asked in time says nothing about the group
	}
	leader, holder := e.Watch.See(time.Now(), views)
	e.Recorder.Leader(leader)
	e.Recorder.Holder(holder)
	teller, ok := e.Group.(Teller)
	if !ok {
		return
	}
	var events []client.Event
	heard := false
	if leader != "" { // another node may not know yet
		var err error
		events, err = teller.Happened(ctx, leader, o.last)
		heard = err == nil // else there will be another look
	}
	var quiesces []Event
	for _, event := range events {
		o.last = max(o.last, event.Seq)
		if o.began {
			o.tell(event)
		}
		quiesces = append(quiesces, Event{Seq: event.Seq, Kind: event.Kind, Subject: subject(event), Module: event.Instance == ""})
	}
	e.Quiesces.Look(time.Now(), heard, quiesces)
	o.began = o.began || heard
}

// subject names what an event is about.
func subject(e client.Event) string {
	name := e.Cluster
	for _, part := range []string{e.Instance, e.Host + e.ContextRoot} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// tell records those events of the group that a time line should have.
func (o *observer) tell(event client.Event) {
	kind := record.Noted
	switch event.Kind {
	case "config":
		kind = record.Configured
	case "quiesce-started", "quiesce-changed", "quiesce-canceled", "quiesced", "stopped":
		kind = record.Quiesced
	case "health", "workflow", "locked", "unlocked", "evacuated", "evacuation-ended", "backup", "backup-failed", "schedule-done":
	default:
		return // the holder is recorded as it is seen
	}
	o.evidence.Recorder.Note(kind, subject(event), "%s", event.Text)
}

// Happened implements Teller.
func (n Nodes) Happened(ctx context.Context, node string, after uint64) ([]client.Event, error) {
	i := slices.IndexFunc(n, func(m Member) bool { return m.Name == node })
	if i < 0 {
		return nil, fmt.Errorf("there is no node %q", node)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	page, err := n[i].Client.Events(ctx, after, 1000)
	if err != nil {
		return nil, err
	}
	return page.Events, nil
}

var (
	_ Group  = Nodes{}
	_ Teller = Nodes{}
)
