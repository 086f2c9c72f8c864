package copies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

const (
	// askWait bounds one question; who does not answer in time is asked last for downLasts.
	askWait, downLasts = 3 * time.Second, 5 * time.Second
	// maxAsked is how many large questions of this node are under way at once.
	maxAsked = 24
)

var (
	// ErrFull: no two members have room for a value. Nothing was stored.
	ErrFull = errors.New("no two nodes have room for the value")
	// ErrAway: too few of the members that could have it answer.
	ErrAway = errors.New("the nodes that have the value, or could have it, do not answer")
)

// Options is what New needs.
type Options struct {
	// Self is this member's id, NAME/REST; empty as long as it is none.
	Self func() string
	// Members are the ids of all members. It must not block.
	Members func() []string
	// Ask has the member of that name answer with its Answer.
	Ask func(ctx context.Context, name string, question []byte) ([]byte, error)
	// State is this node's copy of the state, Sync waits until it has everything that was acknowledged before.
	State *fsm.State
	Sync  func(context.Context) error
	// Refuses says why this node must not keep anything new; nil: it may.
	Refuses func() error
	Shelf   *shelf.Shelf
	// Now is the group's time as this node knows it.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Copies keeps values for this member, and finds those of others. Its methods may be called by several goroutines at once.
type Copies struct {
	opt   Options
	met   *metrics
	slots chan struct{}

	mu      sync.Mutex
	down    map[string]time.Time // ids of members that did not answer, until when they are asked last
	missing int                  // see Missing
	held    time.Time            // until when nothing is thrown away
}

// New makes one; Run keeps it.
func New(o Options) *Copies {
	c := &Copies{opt: o, slots: make(chan struct{}, maxAsked), down: make(map[string]time.Time)}
	c.met = newMetrics(c, o.Registerer)
	return c
}

// Put has two members keep a value for a key, or one if there is only one: place is what the key is ranked by. The state may be told of it (fsm.StoreCopy) with the time that is given back, within
// fsm.CopyFresh. The error is an ErrFull, an ErrAway or that of ctx; what some members have of it they throw away again.
func (c *Copies) Put(ctx context.Context, place string, data []byte) (fsm.Copy, time.Time, error) {
	taken := c.opt.Now()
	of := fsm.Copy{Hash: sha256.Sum256(data), Size: uint32(len(data))}
	order := c.reachableFirst(ranked(place, c.opt.Members()))
	want := min(fsm.MaxHolders, len(order))
	if want == 0 {
		return of, taken, fmt.Errorf("%w: this node is no member of its group yet", ErrAway)
	}
	kept := make([]bool, len(order))
	var failed []error
	type outcome struct {
		at  int
		err error
	}
	done := make(chan outcome, len(order))
	next, running, have := 0, 0, 0
	for {
		for ; running+have < want && next < len(order); next++ {
			running++
			go func(at int) { done <- outcome{at, c.put(ctx, order[at], &of, data)} }(next)
		}
		if running == 0 {
			break
		}
		o := <-done // each ends with ctx, or after askWait
		running--
		if o.err != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", nameOf(order[o.at]), o.err))
			continue
		}
		kept[o.at] = true
		have++
	}
	for at, yes := range kept {
		if yes {
			of.Holders = append(of.Holders, order[at])
		}
	}
	if have == want {
		c.met.written.Add(float64(len(data)))
		return of, taken, nil
	}
	return of, taken, lacking(ctx, failed)
}

// lacking says why there are too few holders.
func lacking(ctx context.Context, failed []error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kind := ErrFull
	for _, err := range failed {
		if !errors.Is(err, shelf.ErrFull) {
			kind = ErrAway
		}
	}
	return fmt.Errorf("%w: %w", kind, errors.Join(failed...))
}

func (c *Copies) put(ctx context.Context, id string, of *fsm.Copy, data []byte) error {
	if id == c.opt.Self() {
		return c.keep(of.Hash, data)
	}
	_, err := c.ask(ctx, id, &question{op: opPut, hash: of.Hash, size: of.Size, rest: data})
	return err
}

// keep puts a value onto this node's shelf.
func (c *Copies) keep(h shelf.Hash, data []byte) error {
	if err := c.opt.Refuses(); err != nil {
		return err
	}
	return c.opt.Shelf.Put(h, data)
}

// read gives a value of this node's shelf. One that was damaged is mended without anybody's help, but somebody should look at that disk.
func (c *Copies) read(h shelf.Hash) ([]byte, error) {
	data, err := c.opt.Shelf.Get(h)
	if errors.Is(err, shelf.ErrDamaged) {
		c.opt.Logger.Warn("a value that this node keeps beside the log was damaged on its disk: it is taken away, and fetched from the other holder; look at the disk", "file", fmt.Sprintf("%x", h))
	}
	return data, err
}

// Get gives the bytes of a value. The error is an ErrAway, or that of ctx; it is a shelf.ErrAbsent too when every holder has answered that it has them not: so it is with what was replaced a moment ago.
func (c *Copies) Get(ctx context.Context, of *fsm.Copy) ([]byte, error) {
	if c.opt.Shelf.Has(of.Hash) {
		if data, err := c.read(of.Hash); err == nil {
			return data, nil
		}
	}
	var failed []error
	absent := true
	for _, id := range c.reachableFirst(of.Holders) {
		if id == c.opt.Self() {
			failed = append(failed, fmt.Errorf("this node: %w", shelf.ErrAbsent))
			continue
		}
		data, err := c.get(ctx, id, of)
		if err == nil {
			return data, nil
		}
		absent = absent && errors.Is(err, shelf.ErrAbsent)
		failed = append(failed, fmt.Errorf("node %s: %w", nameOf(id), err))
	}
	c.met.failed.Inc()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case absent:
		return nil, fmt.Errorf("%w: %w", ErrAway, errors.Join(failed...))
	}
	// Who has not answered may have it: not absent as far as anybody knows.
	texts := make([]string, len(failed))
	for i, err := range failed {
		texts[i] = err.Error()
	}
	return nil, fmt.Errorf("%w: %s", ErrAway, strings.Join(texts, "; "))
}

// get asks one member, and believes nothing that is not what it should be.
func (c *Copies) get(ctx context.Context, id string, of *fsm.Copy) ([]byte, error) {
	data, err := c.ask(ctx, id, &question{op: opGet, hash: of.Hash, size: of.Size})
	if err != nil {
		return nil, err
	}
	if uint32(len(data)) != of.Size || sha256.Sum256(data) != of.Hash {
		c.met.wrong.Inc()
		return nil, fmt.Errorf("%w: it has sent %d bytes of something else", errMessage, len(data))
	}
	return data, nil
}

// ask sends a question to a member, and remembers one that does not answer.
func (c *Copies) ask(ctx context.Context, id string, q *question) ([]byte, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	reply, err := c.opt.Ask(limited, nameOf(id), q.encode())
	if err == nil {
		c.noteUp(id)
		return opened(reply)
	}
	if ctx.Err() == nil { // it is not the caller who has given up
		c.noteDown(id)
	}
	return nil, err
}

func nameOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}
