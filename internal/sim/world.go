package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/vip"
)

// Settings say what a run is. Everything that they leave open is drawn from Seed.
type Settings struct {
	Seed uint64
	// Nodes is how many the group has: three as a rule, and five with every fourth seed, when 0.
	Nodes int
	// Length is the virtual time for which there are load and faults. Founding the group comes before it, and healing after it.
	Length time.Duration
	// Timing is the profile of the nodes: lan, wan or fast; by the seed when empty. With mixed each start of a node draws its own.
	Timing string
	// Calm has nothing break.
	Calm bool
	// Dir is a directory for the keys of the nodes. It may be used again by another run of the same seed, which is faster then and no different.
	Dir string
	// Out gets a line for each event, if not nil.
	Out io.Writer

	// LyingDisks has each disk say that a write is durable before it is: a known bug of a machine, by which the tests show that it would be found.
	LyingDisks bool

	// late is how long after the others the last node is started.
	late time.Duration
	// script is what happens to the group, in the place of what the seed draws, if not nil; it returns when the run may end.
	script func(*world)
}

// Result is what came of a run.
type Result struct {
	Seed   uint64
	Nodes  int
	Timing string
	// Hash is that of everything that happened: with one seed it is the same where the runtime's draws are the same (see the package's comment).
	Hash string
	// Virtual is how much time has passed in the world, from the start of the first node to the last judgement.
	Virtual time.Duration
	// Acknowledged counts assignments that clients were told, Reads the linearizable reads, Revisions and Quiesces those of the configuration, Terms the leaders, Holders the moves
	// of the virtual address, Faults what was broken.
	Acknowledged, Reads, Revisions, Quiesces, Terms, Holders, Faults int
	// Violations are empty when all promises were kept.
	Violations []string
}

// world is one run.
type world struct {
	s        Settings
	trace    *trace
	chance   *chance
	net      *network
	machines []*machine
	token    string
	holders  *holders
	history  *history
	quiesces *quiesces
	digests  *digests

	ctx    context.Context // ends with the load and the faults
	cancel context.CancelFunc
	all    sync.WaitGroup
	over   atomic.Bool // nothing starts any more

	mu         sync.Mutex
	violations []string
	broken     map[string]bool // nodes whose disk was broken
	faults     int             // that are active
	calm       time.Duration   // since when none is
	count      int
	lived      time.Duration
	terms      int
}

// maxViolations bounds what is kept: the first ones say most.
const maxViolations = 20

// Run lives through one world. It must be called in a bubble of testing/synctest, and returns when all that it started has ended.
func Run(s Settings) Result {
	w := &world{s: s, trace: newTrace(s.Out), chance: newChance(s.Seed, "world"), broken: map[string]bool{}}
	if w.s.Nodes == 0 {
		w.s.Nodes = 3
		if s.Seed%4 == 3 {
			w.s.Nodes = 5
		}
	}
	if w.s.Timing == "" {
		w.s.Timing = []string{"lan", "wan", "lan", "fast"}[w.chance.below(4)]
	}
	w.net = newNetwork(s.Seed, w.trace)
	w.holders = &holders{w: w, until: map[string]vip.Deadline{}}
	w.history = newHistory(w)
	w.quiesces = &quiesces{w: w, known: map[uint64]time.Time{}}
	w.digests = &digests{w: w, at: map[uint64]digestOf{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	defer w.cancel()
	w.live()
	return Result{Seed: s.Seed, Nodes: w.s.Nodes, Timing: w.s.Timing, Hash: w.trace.hash(), Virtual: w.lived, Acknowledged: w.history.acked, Reads: w.history.reads,
		Revisions: int(w.history.top), Quiesces: w.quiesces.ended, Terms: w.terms, Holders: w.holders.moves, Faults: w.count, Violations: w.violations}
}

// founding is how long the nodes may take, which nothing disturbs yet, until they are a group.
const founding = 30 * time.Second

func (w *world) live() {
	token, err := pki.NewInit("sim", 24*time.Hour, w.wall())
	if err != nil {
		w.violated("BUG: init string: %v", err)
		return
	}
	w.token = token
	for i := range w.s.Nodes {
		name := fmt.Sprintf("n%d", i+1)
		m := &machine{w: w, name: name, addr: fmt.Sprintf("10.0.0.%d:7701", i+1), profiles: newChance(w.s.Seed, "timing "+name), disk: newDisk(w.s.Seed, name, filepath.Join(w.s.Dir, fmt.Sprintf("%d-%s", w.s.Seed, name)))}
		m.disk.lies = w.s.LyingDisks
		w.machines = append(w.machines, m)
	}
	for i, m := range w.machines {
		time.Sleep(w.chance.between(0, 300*time.Millisecond))
		if i == len(w.machines)-1 && w.s.late > 0 {
			w.later(w.s.late, m.start)
			continue
		}
		m.start()
	}
	var load sync.WaitGroup
	if err := w.settled(founding); err != nil {
		w.violated("the group does not form, and nothing disturbs it: after %v %v", founding, err)
	} else if w.configure() {
		w.load(&load)
		w.all.Go(w.watch)
		switch {
		case w.s.script != nil:
			w.s.script(w)
		case !w.s.Calm:
			w.trouble()
		}
		w.until(w.s.Length)
	}
	w.cancel()
	load.Wait()
	w.finish()
	w.lived = w.trace.at()
	w.all.Wait()
	time.Sleep(buried)
}

// buried is how long the goroutines of a dead process may go on: as long as what they wait for may take that nobody will answer any more.
const buried = 20 * time.Second

// until sleeps for d, or less when the run has failed: what follows the first violation says little.
func (w *world) until(d time.Duration) {
	for end := w.trace.at() + d; w.trace.at() < end && len(w.failures()) == 0; {
		time.Sleep(min(time.Second, end-w.trace.at()))
	}
}

// finish heals what is left, and judges what every node has then.
func (w *world) finish() {
	w.healAll()
	if len(w.failures()) == 0 {
		if err := w.settled(time.Minute); err != nil {
			w.violated("all faults are healed, and after a minute: %v", err)
		} else {
			w.judge()
		}
	}
	w.over.Store(true)
	for _, m := range w.machines {
		m.crash(false)
	}
}

// judge compares all nodes with what clients were told, and with each other.
func (w *world) judge() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, m := range w.machines {
		p := m.running()
		if p == nil {
			continue
		}
		err := p.node.Sync(ctx)
		for errors.Is(err, raftnode.ErrNoQuorum) && ctx.Err() == nil { // what was held by a fault comes late, and may unseat one more leader
			time.Sleep(100 * time.Millisecond)
			err = p.node.Sync(ctx)
		}
		if err != nil {
			w.violated("%v is ready and has not caught up: %v", p, err)
			return
		}
		w.history.final(p)
		w.look(p)
	}
	w.quiesces.overdue(w.machines)
}

// settled waits until every node is ready, and one holds the virtual address.
func (w *world) settled(limit time.Duration) error {
	var err error
	for end := w.trace.at() + limit; w.trace.at() < end; time.Sleep(50 * time.Millisecond) {
		if err = w.unready(); err == nil {
			return nil
		}
	}
	return err
}

func (w *world) unready() error {
	for _, m := range w.machines {
		p := m.running()
		if p == nil {
			return fmt.Errorf("node %s does not run", m.name)
		}
		if err := p.node.Ready(); err != nil {
			return fmt.Errorf("node %s is not ready: %w", m.name, err)
		}
	}
	if w.holders.present() == "" {
		return fmt.Errorf("nobody holds the virtual address")
	}
	return nil
}

func (w *world) addresses() (list []string) {
	for _, m := range w.machines {
		list = append(list, m.addr)
	}
	return list
}

// violated notes a promise that was not kept.
func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace.add("VIOLATED: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.violations) < maxViolations {
		w.violations = append(w.violations, fmt.Sprintf("at %v: %s", w.trace.at(), text))
	}
}

func (w *world) failures() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.violations
}

func (w *world) brokeDisk(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken[name]
}

// later does something after d, unless the faults are over by then: finish does what must be done.
func (w *world) later(d time.Duration, f func()) {
	w.all.Go(func() {
		time.Sleep(d)
		f()
	})
}

// elected notes a new leader.
func (w *world) elected(name string, s raftnode.Succession) {
	w.trace.add("%s leads in term %d, after %q", name, s.Term, s.Previous)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.terms++
}

// pause waits d, and tells whether the load goes on.
func (w *world) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}
