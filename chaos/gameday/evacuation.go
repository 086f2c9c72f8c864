package gameday

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

const (
	// tryAgain is how long after an evacuation could not be undone it is tried again.
	tryAgain = 500 * time.Millisecond
	// unsureTime is how long after a call without an answer the group may still do what it asked for.
	unsureTime = 5 * time.Second
)

// evacuation of the node that leads.
type evacuation struct {
	*game
	node, byHand string
	failed       error // what the group said to it
	never        bool  // it did not happen
}

func (g *game) evacuate(s *client.Status) deed {
	e := &evacuation{game: g, node: s.Leader, byHand: "holdfast node evacuate " + s.Leader + " --undo" + g.Reach}
	return deed{what: "node " + e.node + ", which leads, is evacuated", target: e.node, run: e.begin, undo: e.end, byHand: e.byHand, none: func(error) bool { return e.never }, own: e.own}
}

func (e *evacuation) begin(ctx context.Context) error {
	_, e.failed = e.Client.Evacuate(ctx, e.node, "game day")
	return e.failed
}

// end takes it back, and tries that until ctx ends: while nobody leads the group refuses, and a node that stays evacuated is one less to take over.
func (e *evacuation) end(ctx context.Context) error {
	if e.never = refused(e.failed); e.never {
		return nil
	}
	sure := time.Now()
	if e.failed != nil {
		sure = sure.Add(cmp.Or(e.unsure, unsureTime))
	}
	began, said := time.Now(), ""
	var last error
	for {
		err := e.Client.EndEvacuation(ctx, e.node)
		var p *client.Problem
		switch {
		case err == nil:
			return nil
		case errors.As(err, &p) && p.Code == "not-found":
			if !time.Now().Before(sure) {
				e.never = e.failed != nil
				return nil // it never was, or somebody has taken it back
			}
		case last == nil || ctx.Err() == nil:
			last = err
			if text := err.Error(); text != said {
				e.Record.Note(record.Noted, e.node, "node %s is still evacuated, trying on: %s", e.node, text)
				said = text
			}
		}
		if pause(ctx, tryAgain) != nil {
			return fmt.Errorf("node %s may still be evacuated: taking that back has failed for %v, the last time with: %w; take it back by hand: %s",
				e.node, time.Since(began).Round(time.Second), cmp.Or(last, err), e.byHand)
		}
	}
}

// own takes the evacuation from a status. An evacuated node is not ready.
func (e *evacuation) own(s *client.Status) {
	s.Evacuated = slices.DeleteFunc(s.Evacuated, func(other client.Evacuation) bool { return other.Node == e.node })
	if n := nodeOf(s, e.node); n != nil {
		n.Ready = true
	}
}
