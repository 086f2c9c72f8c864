package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/history"
	"github.com/holdfast-lb/holdfast/chaos/operate"
)

// operate is an operator who changes weights, rate times in a second, until ctx ends. Each change is asked of a drawn node first, so that those without a majority are asked, too, and must not acknowledge any.
func (p *player) operate(ctx context.Context, rate float64) {
	random := rand.New(rand.NewPCG(p.Seed, 3))
	for pause(ctx, time.Duration(float64(time.Second)/rate*(0.5+random.Float64()))) == nil {
		cluster := kinds[random.IntN(len(kinds))].Name
		in := p.stage.Instances[random.IntN(len(p.stage.Instances))].Name
		weight := 1 + random.IntN(10)
		err := p.field.EditFrom(ctx, random.IntN(len(p.stage.Group.Nodes)), operate.Edit{Op: "set", Kind: "instance", Cluster: cluster, Name: in, Values: map[string]any{"weight": weight}})
		if err != nil && ctx.Err() == nil {
			p.Say(cluster, fmt.Sprintf("an operator could not give %s in %s the weight %d: %v", in, cluster, weight, err))
		}
	}
}

// The player is the witness of the faults.

// Say notes what happens in words.
func (p *player) Say(subject, text string) { p.note(subject, text) }

// Changed notes what an operator asked for and was told. One change is under way at a time for each number.
func (p *player) Changed(sent time.Time, result *client.ConfigResult, err error) {
	ended := time.Now()
	number := int(p.changes.Add(1))
	c := history.Change{Client: number, Sent: sent, Ended: ended, Anything: true, Outcome: history.OutcomeOf(err)}
	if err == nil && result.Unchanged {
		// It is as good as a reading. But an attempt of this very call, whose answer was lost with its node, may have made the revision.
		c.Outcome = history.Unknown
		p.evidence.History.Changed(c)
		p.evidence.History.ReadRevision(number, sent, ended, result.Revision, "")
		return
	}
	if err == nil {
		c.Revision = result.Revision
	}
	p.evidence.History.Changed(c)
}

// Disabling notes that they may have to from now on.
func (p *player) Disabling(cluster, instance string) { p.evidence.Quiesces.Asked(cluster, instance) }

// Quiescing notes that all nodes obey.
func (p *player) Quiescing(cluster, instance string) { p.evidence.Quiesces.Began(cluster, instance) }

// Enabling notes that they will not have to any more.
func (p *player) Enabling(cluster, instance string) { p.evidence.Quiesces.Over(cluster, instance) }

// BackedUp notes what a backup was.
func (p *player) BackedUp(problem error) { p.evidence.Backups.Read(problem) }

// Lost notes what the group may have lost.
func (p *player) Lost(l fault.Loss) {
	now := time.Now()
	p.load.Ledger.Lost(l.After)
	for _, cluster := range clusters() {
		p.evidence.History.Lost(cluster, "the group went on from an older state", l.After, l.Ended, now)
	}
	p.evidence.Losses.Told(check.Loss(l))
}

// Promoting notes that an epoch ends.
func (p *player) Promoting(epoch uint32) { p.evidence.Epochs.Ends(epoch) }
