package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const (
	// defaultDropAfter is how long an instance may be silent when its cluster does not say.
	defaultDropAfter = 3 * time.Second
	// dropPoll is the longest pause between two looks while instances are registered, stalled is how long a pause means that this node stood
	// still: it could not have heard anybody then.
	dropPoll = 500 * time.Millisecond
	stalled  = time.Second
	// maxDrops go with one command: each is an event, of which the group keeps 1000, and all should get their line in the log.
	maxDrops = 100
)

// registerDuty keeps the instances that registered themselves: it knows when each was last heard of. That is in the leader's memory only, by its
// monotonic clock; a new leader gives everybody the whole time anew. The log grows only when an instance comes, changes or goes.
type registerDuty struct {
	*term

	mu     sync.Mutex
	heard  map[fsm.InstanceRef]*heard
	looked time.Time
	// refused are registrations that the state did not take, so that an instance which says the same again costs no entry each time.
	refused map[fsm.InstanceRef]refused
}

// refused is the answer to what an instance said, as long as nothing has changed in the group.
type refused struct {
	said   []byte
	index  uint64 // Operating.Index
	result fsm.Result
}

// maxRefused bounds how many are remembered; then all are forgotten.
const maxRefused = 1000

// heard is what the leader knows of a registered instance.
type heard struct {
	last time.Time
	// said is what it said when it was registered, as it said it: the group may hold it in another form.
	said []byte
}

func newRegisterDuty(t *term) *registerDuty {
	return &registerDuty{term: t, heard: make(map[fsm.InstanceRef]*heard)}
}

func (*registerDuty) name() string { return "registration" }

// look drops those that have been silent for too long.
func (d *registerDuty) look(ctx context.Context) (time.Duration, error) {
	op := d.state.Operating()
	silent, again := d.silent(op, time.Now())
	for limit, all := range silent {
		for refs := range slices.Chunk(all, maxDrops) {
			if _, err := d.do(ctx, &fsm.InstanceDrop{Instances: refs, Reason: fmt.Sprintf("no heartbeat for %v", limit)}); err != nil {
				return 0, err
			}
			d.forget(refs)
		}
	}
	if len(op.Registered) == 0 {
		return never, nil
	}
	return again, nil
}

// silent gives those that are to be dropped, by how long they may be silent, in the order of the state, and the time until the next one is.
func (d *registerDuty) silent(op *fsm.Operating, now time.Time) (map[time.Duration][]fsm.InstanceRef, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gap := now.Sub(d.looked)
	first := d.looked.IsZero() || len(op.Registered) == 0
	d.looked = now
	if !first && gap > stalled {
		for _, h := range d.heard {
			h.last = h.last.Add(gap)
		}
	}
	list, again := map[time.Duration][]fsm.InstanceRef{}, dropPoll
	for _, r := range op.Registered {
		ref := fsm.InstanceRef{Cluster: r.Cluster, Instance: r.Instance.Name}
		h := d.heard[ref]
		if h == nil {
			h = &heard{last: now} // of an earlier leader: the time begins anew
			d.heard[ref] = h
		}
		limit := defaultDropAfter
		if c := cluster(op.Config, r.Cluster); c != nil && c.Registration.DropAfter > 0 {
			limit = time.Duration(c.Registration.DropAfter)
		}
		if left := limit - now.Sub(h.last); left <= 0 {
			list[limit] = append(list[limit], ref)
		} else {
			again = min(again, left)
		}
	}
	return list, again
}

func (d *registerDuty) forget(refs []fsm.InstanceRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ref := range refs {
		delete(d.heard, ref)
	}
}

func cluster(c *config.Config, name string) *config.Cluster {
	for i := range c.Clusters {
		if c.Clusters[i].Name == name {
			return &c.Clusters[i]
		}
	}
	return nil
}

// beat takes one heartbeat. It is a command only when the instance is new or says something else than before.
func (d *registerDuty) beat(ctx context.Context, name string, in config.Instance, actor string) (fsm.Result, error) {
	op := d.state.Operating()
	if r := mayRegister(op, name, in.Name); r.Code != fsm.CodeOK {
		return r, nil
	}
	said, err := json.Marshal(in)
	if err != nil {
		return fsm.Result{}, fmt.Errorf("heartbeat of instance %s: %w", in.Name, err)
	}
	ref := fsm.InstanceRef{Cluster: name, Instance: in.Name}
	if d.lives(ref, said, registered(op, ref)) {
		return fsm.Result{}, nil
	}
	if r, again := d.refusedBefore(ref, said, op.Index); again {
		return r, nil
	}
	r, err := d.do(ctx, &fsm.InstanceRegister{Cluster: name, Instance: in, Actor: actor})
	if err != nil {
		return r, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Code == fsm.CodeOK {
		d.heard[ref] = &heard{last: time.Now(), said: said}
		return r, nil
	}
	if d.refused == nil || len(d.refused) >= maxRefused {
		d.refused = make(map[fsm.InstanceRef]refused)
	}
	d.refused[ref] = refused{said, op.Index, r}
	return r, nil
}

func (d *registerDuty) refusedBefore(ref fsm.InstanceRef, said []byte, index uint64) (fsm.Result, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.refused[ref]
	return r.result, ok && r.index == index && bytes.Equal(r.said, said)
}

// lives notes the heartbeat and tells whether that is all that there is to do.
func (d *registerDuty) lives(ref fsm.InstanceRef, said []byte, present *config.Instance) bool {
	if present == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.heard[ref]
	if h == nil {
		h = new(heard)
		d.heard[ref] = h
	}
	h.last = time.Now()
	if h.said != nil {
		return bytes.Equal(h.said, said)
	}
	holds, err := json.Marshal(present)
	if err != nil || !bytes.Equal(holds, said) {
		return false
	}
	h.said = said
	return true
}

// bye drops an instance at once: it said that it goes.
func (d *registerDuty) bye(ctx context.Context, name, instance, actor string) (fsm.Result, error) {
	ref := fsm.InstanceRef{Cluster: name, Instance: instance}
	if registered(d.state.Operating(), ref) == nil {
		return fsm.Result{Code: fsm.CodeAbsent, Message: fmt.Sprintf("instance %s of cluster %s is not registered", instance, name)}, nil
	}
	reason := "it said goodbye"
	if actor != "" {
		reason += " (" + actor + ")"
	}
	r, err := d.do(ctx, &fsm.InstanceDrop{Instances: []fsm.InstanceRef{ref}, Reason: reason})
	if err == nil {
		d.forget([]fsm.InstanceRef{ref})
	}
	return r, err
}

func registered(op *fsm.Operating, ref fsm.InstanceRef) *config.Instance {
	for i := range op.Registered {
		if r := &op.Registered[i]; r.Cluster == ref.Cluster && r.Instance.Name == ref.Instance {
			return &r.Instance
		}
	}
	return nil
}

// mayRegister refuses what the state would refuse, without an entry in the log for each heartbeat of an instance that has it wrong.
func mayRegister(op *fsm.Operating, name, instance string) fsm.Result {
	refuse := func(format string, args ...any) fsm.Result {
		return fsm.Result{Code: fsm.CodeInvalid, Message: fmt.Sprintf(format, args...)}
	}
	c := cluster(op.Revision.Config, name)
	switch {
	case c == nil:
		return refuse("there is no cluster %q", name)
	case !c.Registration.Allow:
		return refuse("cluster %s does not let instances register themselves: set registration: {allow: true} in its configuration", name)
	}
	for i := range c.Instances {
		if c.Instances[i].Name == instance {
			return refuse("the configuration of cluster %s has an instance %s already: an instance that registers itself needs a name of its own", name, instance)
		}
	}
	return fsm.Result{}
}
