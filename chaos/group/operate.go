package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/operate"
)

// Operator works at the group through whichever node answers.
type Operator struct {
	// Wait lets Apply wait until every node obeys the change, so long at most; 0: a majority has it.
	Wait time.Duration

	g      *Group
	client *client.Client
}

// Operator gives one. The error is for addresses that are none, which a group does not have.
func (g *Group) Operator() *Operator { return g.OperatorFrom(0) }

// OperatorFrom gives one who asks the node at a position first, and the next ones where that does not answer or refuses.
func (g *Group) OperatorFrom(first int) *Operator {
	var urls []string
	for i := range g.Nodes {
		urls = append(urls, g.Nodes[(first+i)%len(g.Nodes)].Admin)
	}
	c, err := client.New(client.Options{URLs: urls, AttemptTimeout: 5 * time.Second, Transport: g.transport()})
	if err != nil {
		panic("BUG: admin addresses of a group: " + err.Error())
	}
	return &Operator{g: g, client: c}
}

// Edit makes one change and waits until every node obeys it.
func (o *Operator) Edit(ctx context.Context, edits ...operate.Edit) error {
	e, err := encode[client.Edits](map[string]any{"edits": edits, "message": "chaos"})
	if err != nil {
		return err
	}
	r, err := o.client.EditConfig(ctx, e, client.ChangeOptions{Wait: 20 * time.Second})
	if err == nil && r.AppliedBy != "all" {
		err = fmt.Errorf("revision %d is applied by a %s only", r.Revision, r.AppliedBy)
	}
	return err
}

// Apply implements operate.Operator.
func (o *Operator) Apply(ctx context.Context, c *operate.Change) (operate.Outcome, error) {
	e, err := encode[client.Edits](map[string]any{"edits": c.Edits, "nowAll": c.Now})
	if err != nil {
		return operate.Outcome{}, err
	}
	r, err := o.client.EditConfig(ctx, e, client.ChangeOptions{Wait: o.Wait})
	if err != nil {
		return operate.Outcome{}, err
	}
	if r.Effect == nil {
		r.Effect = &client.Effect{}
	}
	return outcome(r.Index, *r.Effect), nil
}

// Plan implements operate.Operator.
func (o *Operator) Plan(ctx context.Context, c *operate.Change) (operate.Outcome, error) {
	e, err := encode[client.PlanEdits](map[string]any{"edits": c.Edits, "nowAll": c.Now})
	if err != nil {
		return operate.Outcome{}, err
	}
	last, err := o.lastEvent(ctx)
	if err != nil {
		return operate.Outcome{}, err
	}
	p, err := o.client.PlanEdits(ctx, e)
	if err != nil {
		return operate.Outcome{}, err
	}
	return outcome(last, p.Effect), nil
}

// outcome brings an effect into the form in which plans and results are compared: without the times, which go on.
func outcome(index uint64, e client.Effect) operate.Outcome {
	out := operate.Outcome{Index: index, Displaced: e.Counts.Sessions}
	for i := range e.Started {
		e.Started[i].Until = time.Time{}
	}
	for i := range e.Changed {
		e.Changed[i].Until = time.Time{}
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic("BUG: an effect cannot be encoded: " + err.Error())
	}
	out.Effect = string(text)
	return out
}

// Quiesced implements operate.Operator.
func (o *Operator) Quiesced(ctx context.Context, after, before uint64) (bool, error) {
	events, err := o.Events(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(events, func(e operate.Event) bool { return e.Kind == "quiesced" && e.Index > after && e.Index <= before }), nil
}

// Quiesces lists those that run.
func (o *Operator) Quiesces(ctx context.Context) (list []operate.Quiesce, err error) {
	all, err := o.client.Quiesces(ctx)
	for _, q := range all {
		list = append(list, operate.Quiesce{Cluster: q.Cluster, Instance: q.Instance, Started: q.Started, Deadline: q.Deadline})
	}
	return list, err
}

// Events lists what the group remembers, the oldest first.
func (o *Operator) Events(ctx context.Context) (list []operate.Event, err error) {
	after := uint64(0)
	for {
		page, err := o.client.Events(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		if len(page.Events) == 0 {
			return list, nil
		}
		for _, e := range page.Events {
			list = append(list, operate.Event{Seq: e.Seq, Index: e.Index, Time: e.Time, Kind: e.Kind, Text: e.Text})
			after = e.Seq
		}
	}
}

// lastEvent is the log index of the newest event.
func (o *Operator) lastEvent(ctx context.Context) (uint64, error) {
	events, err := o.Events(ctx)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	return events[len(events)-1].Index, nil
}

// Holds compares the group's configuration with the model.
func (o *Operator) Holds(ctx context.Context, m *operate.Model) error {
	current, err := o.client.Config(ctx, client.JSON)
	if err != nil {
		return err
	}
	var c struct {
		Clusters []struct {
			Name      string
			Instances []struct {
				Name    string
				Enabled bool
			}
			Modules []struct {
				ContextRoot string
				Enabled     bool
			}
		}
	}
	if err := json.Unmarshal(current.Data, &c); err != nil {
		return err
	}
	var got []string
	for _, k := range c.Clusters {
		parts := map[string]bool{}
		for _, in := range k.Instances {
			parts[in.Name] = in.Enabled
		}
		for _, mod := range k.Modules {
			parts[mod.ContextRoot] = mod.Enabled
		}
		got = append(got, operate.Describe(k.Name, parts))
	}
	slices.Sort(got)
	if want := m.Describe(); !slices.Equal(got, want) {
		return errors.Join(errors.New("the configuration is not what the changes lead to"), fmt.Errorf("have %s", strings.Join(got, "; ")), fmt.Errorf("want %s", strings.Join(want, "; ")))
	}
	return nil
}

// encode turns what the harness has into a document of the API, by way of JSON: the harness knows only what goes over the wire.
func encode[T any](v any) (out T, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
}

var _ operate.Operator = (*Operator)(nil)

// Client is the operator's own client of the admin API, which asks whichever node answers.
func (o *Operator) Client() *client.Client { return o.client }
