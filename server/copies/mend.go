package copies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

// mendBatch is how many values are mended with one entry.
const mendBatch = 128

// Mending says what is wrong with the members, as the leader knows it.
type Mending struct {
	// Away tells whether a member has not answered for so long that others are to take its place.
	Away func(id string) bool
	// Lacks tells whether a member says that it has not all that it should have.
	Lacks func(id string) bool
	// Leaves is the id of a member that is to have nothing any more, empty for none.
	Leaves string
	// Propose has a command applied, by this leader.
	Propose func(context.Context, fsm.Command) (fsm.Result, error)
}

// Mended is what came of it.
type Mended struct {
	// Found are the values with which something was wrong, Moved those that have other holders now, Lost those that nobody has.
	Found, Moved, Lost int
	// Stuck are those that are as they were: whoever has them does not answer, or nobody has room.
	Stuck int
	// Alone are those of them of which, beside the member that leaves, nobody has answered that it has them.
	Alone int
	// Failure is why one of them is.
	Failure error
}

// patient is a value with which something may be wrong, and who has it.
type patient struct {
	value   *fsm.Stored
	have    []string // holders that have it, in their order
	silent  bool     // a holder does not answer, or is unsure, and may have it
	lacking bool     // a holder is a member and has it not
}

// Mend has the next members of each value's rank take the place of holders that are none any more, or have not got it: the leader's. It goes through all values once, in batches. The error is that of a proposal or of ctx.
func (c *Copies) Mend(ctx context.Context, m Mending) (done Mended, err error) {
	members, seen := c.opt.Members(), c.opt.State.Applied() // before any value is looked at
	var batch []*patient
	flush := func() bool {
		if len(batch) > 0 {
			err = c.mendAll(ctx, &m, members, batch, seen, &done)
		}
		batch = batch[:0]
		return err == nil && ctx.Err() == nil
	}
	c.opt.State.StoredCopies(func(v *fsm.Stored) bool {
		if !m.suspects(v.Copy, members) {
			return true
		}
		done.Found++
		batch = append(batch, &patient{value: v})
		return len(batch) < mendBatch || flush()
	})
	if err == nil && ctx.Err() == nil {
		flush()
	}
	if err == nil {
		err = ctx.Err()
	}
	return done, err
}

// suspects tells whether something may be wrong with a value.
func (m *Mending) suspects(of *fsm.Copy, members []string) bool {
	for _, id := range of.Holders {
		if id == m.Leaves || !slices.Contains(members, id) || m.Away(id) || m.Lacks(id) {
			return true
		}
	}
	return len(of.Holders) < min(fsm.MaxHolders, len(members)-btoi(m.Leaves != ""))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *Copies) mendAll(ctx context.Context, m *Mending, members []string, batch []*patient, seen uint64, done *Mended) error {
	taken := c.opt.Now() // before anybody is asked: from here on those that say that they have a value keep it
	c.examine(ctx, members, batch)
	command := &fsm.StoreHolders{Taken: taken, Seen: seen}
	for _, p := range batch {
		holders, err := c.treat(ctx, m, members, p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			done.Stuck++
			if slices.Contains(p.value.Copy.Holders, m.Leaves) && !slices.ContainsFunc(p.have, func(id string) bool { return id != m.Leaves }) {
				done.Alone++
			}
			done.Failure = err
		case slices.Equal(holders, p.value.Copy.Holders) && !p.lacking:
		default: // also when those that lacked it have it now: what somebody else found before is true no more
			command.Moves = append(command.Moves, fsm.StoreMove{StoreKey: p.value.Address(), Version: p.value.Version, Holders: holders})
		}
	}
	if len(command.Moves) == 0 {
		return nil
	}
	res, err := m.Propose(ctx, command)
	if err != nil {
		return err
	}
	if res.Code != fsm.CodeOK {
		return fmt.Errorf("who has values was not changed: %s", res.Message)
	}
	c.count(command.Moves, done)
	return nil
}

// count adds what came of moves: some may have come too late, because somebody else has given a value other holders meanwhile.
func (c *Copies) count(moves []fsm.StoreMove, done *Mended) {
	moved, lost := 0, 0
	for i := range moves {
		m := &moves[i]
		if v := c.opt.State.StoredLost(m.StoreKey); len(m.Holders) == 0 && v != nil && v.Version == m.Version {
			lost++
		} else if len(m.Holders) > 0 {
			moved++
		}
	}
	done.Moved, done.Lost = done.Moved+moved, done.Lost+lost
	c.met.mended.Add(float64(moved))
	c.met.lost.Add(float64(lost))
}

// examine asks the holders of all values of a batch, each once.
func (c *Copies) examine(ctx context.Context, members []string, batch []*patient) {
	of := make(map[string][]*patient)
	for _, p := range batch {
		for _, id := range p.value.Copy.Holders {
			if slices.Contains(members, id) {
				of[id] = append(of[id], p)
			}
		}
	}
	for _, id := range sortedKeys(of) {
		hashes := make([]shelf.Hash, len(of[id]))
		for i, p := range of[id] {
			hashes[i] = p.value.Copy.Hash
		}
		has, err := c.have(ctx, id, hashes)
		for i, p := range of[id] {
			switch {
			case err != nil || has[i] == unsure:
				p.silent = true
			case has[i] == hasIt:
				p.have = append(p.have, id)
			default:
				p.lacking = true
			}
		}
	}
}

func sortedKeys(of map[string][]*patient) []string {
	list := make([]string, 0, len(of))
	for id := range of {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// treat gives the holders that a value should have from now on: those that have it, and others in the place of those that have not. None: it is lost. The error is why it must stay as it is.
func (c *Copies) treat(ctx context.Context, m *Mending, members []string, p *patient) ([]string, error) {
	if len(p.have) == 0 {
		if p.silent {
			return nil, fmt.Errorf("%w: of the holders of a value", ErrAway)
		}
		var doubt bool
		p.have, doubt = c.anywhere(ctx, members, p.value.Copy.Hash)
		switch {
		case len(p.have) == 0 && doubt:
			return nil, fmt.Errorf("%w: one has a value, and cannot make certain that it stays", ErrAway)
		case len(p.have) == 0:
			return nil, ctx.Err() // it is lost, unless the questions were cut short
		}
	}
	source := p.have[0]
	var next []string
	for _, id := range p.value.Copy.Holders {
		// One that is silent for a moment stays: it may have it, and only one that is away for long gives up its place. But nobody leaves because of what it may have.
		stays := slices.Contains(p.have, id) || slices.Contains(members, id) && p.silent && !m.Away(id) && !m.Lacks(id) && m.Leaves == ""
		if stays && id != m.Leaves {
			next = append(next, id)
		}
	}
	var failed []error
	want := min(fsm.MaxHolders, len(members)-btoi(m.Leaves != ""))
	for _, id := range c.reachableFirst(ranked(place(p.value), members)) {
		if len(next) >= want {
			break
		}
		if id == m.Leaves || m.Away(id) || slices.Contains(next, id) {
			continue
		}
		if err := c.giveTo(ctx, id, source, p.value.Copy); err != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", nameOf(id), err))
			continue
		}
		next = append(next, id)
		pause(ctx, int(p.value.Copy.Size))
	}
	if len(next) < want && (len(next) == 0 || len(next) <= len(p.have)) {
		return nil, fmt.Errorf("no other node has taken a value: %w", errors.Join(append(failed, ErrAway)...))
	}
	if slices.ContainsFunc(p.value.Copy.Holders, func(id string) bool { return !slices.Contains(next, id) }) || len(next) != len(p.value.Copy.Holders) {
		return next, nil
	}
	return p.value.Copy.Holders, nil // in its order: nothing has changed
}

// giveTo has a member take a value from another one.
func (c *Copies) giveTo(ctx context.Context, id, source string, of *fsm.Copy) error {
	if id == source {
		return nil
	}
	q := &question{op: opTake, hash: of.Hash, size: of.Size, rest: []byte(source)}
	if id == c.opt.Self() {
		return c.take(ctx, q)
	}
	_, err := c.ask(ctx, id, q)
	return err
}

// anywhere finds members that have a value though nothing says so: what is not named stays for a while. doubt: one is unsure.
func (c *Copies) anywhere(ctx context.Context, members []string, h shelf.Hash) (found []string, doubt bool) {
	for _, id := range members {
		has, err := c.have(ctx, id, []shelf.Hash{h})
		switch {
		case err != nil:
		case has[0] == hasIt:
			found = append(found, id)
		case has[0] == unsure:
			doubt = true
		}
	}
	return found, doubt
}

// place is what a value is ranked by.
func place(v *fsm.Stored) string { return Place(v.Address()) }

// Place is what the key of a value is ranked by: session keys are unique in the group.
func Place(k fsm.StoreKey) string {
	if k.Space == fsm.SpaceSessions {
		return "s" + k.Key
	}
	return fmt.Sprintf("k%d/%s", k.Module, k.Key)
}

// Away counts the values of a state of which no holder that answers has the bytes.
func (c *Copies) Away(ctx context.Context, state *fsm.State) (away int, err error) {
	members := c.opt.Members()
	var batch []*patient
	flush := func() {
		c.examine(ctx, members, batch)
		for _, p := range batch {
			if len(p.have) == 0 {
				away++
			}
		}
		batch = batch[:0]
	}
	state.StoredCopies(func(v *fsm.Stored) bool {
		if batch = append(batch, &patient{value: v}); len(batch) == maxHashes {
			flush()
		}
		return ctx.Err() == nil
	})
	flush()
	return away, ctx.Err()
}
