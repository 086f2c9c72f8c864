package lb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Balancer is the data plane of one node.
type Balancer struct {
	opts     Options
	view     View
	recorder Recorder
	log      *slog.Logger
	metrics  *metrics
	access   *accessLog
	pending  *pending
	touching touching
	openings openings
	tunnels  tunnels
	tasks    *tasks

	routing atomic.Pointer[routing]
	ring    atomic.Pointer[keyring]
	lostAt  atomic.Int64 // when the quorum was first seen lost, Unix ns; 0 while there is one

	// ctx lives from New to the end of Run; records that outlive their request run under it.
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex // guards what follows; held while a revision is put into force
	clusters map[string]*clusterState
	modules  map[moduleKey]*moduleState
	turns    map[string]*atomic.Uint32 // by host and context root
	fronts   map[string]*front         // by address
	inForce  bool                      // some revision has been put into force
	config   *config.Config            // that is in force
	refusals error                     // listeners that cannot be served at all
	closed   bool
	closing  sync.WaitGroup // fronts that finish their requests
	probers  sync.WaitGroup
}

// New makes a Balancer; Run sets it to work. It panics when Options lack a View or a Recorder, or when the Registerer has another
// Balancer's metrics already: both are mistakes of the program.
func New(o Options) *Balancer {
	if o.View == nil || o.Recorder == nil {
		panic("BUG: lb.New needs a View and a Recorder")
	}
	o = o.withDefaults()
	b := &Balancer{
		opts: o, view: o.View, recorder: o.Recorder, log: o.Logger, pending: newPending(), tasks: newTasks(),
		access:   &accessLog{out: o.AccessLog, node: o.Node},
		touching: touching{keys: make(map[fsm.Key]*commit)},
		clusters: make(map[string]*clusterState), modules: make(map[moduleKey]*moduleState), turns: make(map[string]*atomic.Uint32), fronts: make(map[string]*front),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.routing.Store(&routing{clusters: map[string]*cluster{}})
	m, err := newMetrics(b, o.Registerer)
	if err != nil {
		panic("BUG: lb.New: " + err.Error())
	}
	b.metrics = m
	return b
}

// Run serves until ctx ends and returns nil then: every goroutine of the Balancer has ended. Connections that are still open are
// closed; call Shutdown before to let requests finish.
func (b *Balancer) Run(ctx context.Context) error {
	defer b.stop()
	owing, stopOwing := context.WithCancel(ctx)
	var owes sync.WaitGroup
	owes.Go(func() { b.payDebts(owing) })
	defer owes.Wait()
	defer stopOwing()
	for {
		var changed <-chan struct{}
		if b.opts.Changed != nil {
			changed = b.opts.Changed() // asked before the revision is read, so that no change slips through in between
		}
		b.reconcile()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// stop closes everything at once and waits for it.
func (b *Balancer) stop() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	b.Shutdown(over)
	b.cancel()
	<-b.tasks.idle
	b.closeEndpoints() // again: the last requests have given their connections back
	b.closing.Wait()
	b.probers.Wait()
}

// Shutdown stops listening and lets requests and upgraded connections finish until ctx ends; then it closes them and returns
// ctx's error. The configuration has no effect any more.
func (b *Balancer) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	fronts := b.fronts
	b.fronts = map[string]*front{}
	b.mu.Unlock()
	var all sync.WaitGroup
	for _, f := range fronts {
		all.Go(func() { f.close(ctx) })
	}
	all.Wait()
	if first {
		b.tasks.close()
	}
	err := b.tasks.wait(ctx)
	if err != nil {
		b.tunnels.closeAll()
	}
	b.closeEndpoints()
	return err
}

func (b *Balancer) closeEndpoints() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clusters {
		for _, in := range c.instances {
			for _, e := range *in.endpoints.Load() {
				e.close()
			}
		}
	}
}

// Ready is nil when every listener of the configuration is bound; the error says for each other one why it is not.
func (b *Balancer) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	if !b.inForce {
		return errors.New("no configuration is in force yet")
	}
	errs := []error{b.refusals}
	for _, f := range b.fronts {
		_, _, err := f.state()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// InForce gives the revision that this node serves and the Operating.Index as of which it does, which follow what the state holds; ok is false before
// the first one. A request that is not counted as in flight by then (Instances, Modules) obeys what was in force at index, or something newer.
func (b *Balancer) InForce() (revision, index uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rt := b.routing.Load()
	return rt.revision, rt.index, b.inForce
}

// Addr gives the address that a listener is bound to, nil while it is not.
func (b *Balancer) Addr(listener string) net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		if name, addr, _ := f.state(); name == listener {
			return addr
		}
	}
	return nil
}

// Instances tells how this node sees the instances of the configuration, by cluster and name.
func (b *Balancer) Instances() []InstanceStatus {
	var all []InstanceStatus
	for _, c := range b.routing.Load().clusters {
		for _, in := range c.instances {
			all = append(all, in.status())
		}
	}
	slices.SortFunc(all, func(a, b InstanceStatus) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Instance, b.Instance))
	})
	return all
}

// keys gives the keys of the group that this node belongs to now.
func (b *Balancer) keys() (*keyring, error) {
	g := b.view.Group()
	if g == nil {
		return nil, errNoGroup
	}
	if k := b.ring.Load(); k != nil && k.fits(g) {
		return k, nil
	}
	k, err := newKeyring(g)
	if err != nil {
		return nil, fmt.Errorf("keys of the group: %w", err)
	}
	b.ring.Store(k)
	return k, nil
}
