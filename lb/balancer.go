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
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb/h1"
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
	conns    *clientConns
	tasks    *tasks
	contact  *contact
	short    *shortage
	encoders *encoders
	keeping  *keeping
	trace    *tracing // nil: nothing is traced
	once     sync.Once
	engine   *h1.Engine // set before the first front; nil where net/http does everything

	routing atomic.Pointer[routing]
	edge    atomic.Pointer[edge] // of requests that come by no listener
	ring    atomic.Pointer[keyring]
	facing  atomic.Pointer[facing]
	outcast atomic.Bool  // this node is out of its group
	lostAt  atomic.Int64 // when the quorum was first seen lost, Unix ns; 0 while there is one

	// ctx lives from New to the end of Run; records that outlive their request run under it.
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex // guards what follows; held while a revision is put into force
	clusters map[string]*clusterState
	modules  map[moduleKey]*moduleState
	turns    map[string]*atomic.Uint32 // by host and context root
	fronts   map[string]*front         // by address
	packets  map[string]*packetFront   // the same for udp
	inForce  bool                      // some revision has been put into force
	config   *config.Config            // that is in force
	files    []*fsm.File               // the same
	refusals error                     // listeners that cannot be served at all
	settings *settings                 // of config
	limiters map[string]*limiter       // by what they bound
	closed   bool
	handing  bool           // closed, but the configuration has an effect still: see HandOn
	closing  sync.WaitGroup // fronts that finish their requests
	probers  sync.WaitGroup
	relays   sync.WaitGroup // goroutines between the loops and net/http

	vault       vault                      // guarded by mu
	challenges  atomic.Pointer[challenges] // of authorities that are open; nil: none
	limitScope  uint32                     // the last one that was given, guarded by mu
	clientRates *clientRates
	turnedAway  atomic.Int64 // connections that are being turned away
	headers
}

// New makes a Balancer; Run sets it to work. It panics when Options lack a View or a Recorder, or when the Registerer has another
// Balancer's metrics already: both are mistakes of the program.
func New(o Options) *Balancer {
	if o.View == nil || o.Recorder == nil {
		panic("BUG: lb.New needs a View and a Recorder")
	}
	o = o.withDefaults()
	b := &Balancer{
		opts: o, view: o.View, recorder: o.Recorder, log: o.Logger, pending: newPending(), tasks: newTasks(), conns: newClientConns(),
		access:   newAccessLog(o.AccessLog, o.Node),
		limiters: make(map[string]*limiter), clientRates: newClientRates(),
		touching: touching{keys: make(map[fsm.Key]*commit)},
		clusters: make(map[string]*clusterState), modules: make(map[moduleKey]*moduleState), turns: make(map[string]*atomic.Uint32), fronts: make(map[string]*front),
		packets: make(map[string]*packetFront),
	}
	b.short, b.encoders, b.keeping, b.trace = newShortage(b.log), newEncoders(), newKeeping(), newTracing(o.Tracing)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.routing.Store(&routing{clusters: map[string]*cluster{}})
	b.settings = newSettings(&config.Empty().Proxy)
	b.edge.Store(newEdge(b.settings, nil, nil))
	b.face()
	b.contact = b.newContact()
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
	go b.access.run()
	defer b.stop()
	owing, stopOwing := context.WithCancel(ctx)
	var owes sync.WaitGroup
	owes.Go(func() { b.payDebts(owing) })
	owes.Go(func() { b.contact.run(owing) })
	owes.Go(func() { b.short.run(owing) })
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
	b.forgetHardStops()
	b.cancel()
	<-b.tasks.idle
	b.closeEndpoints() // again: the last requests have given their connections back
	b.closing.Wait()
	b.closeLoops()
	b.relays.Wait()
	b.probers.Wait()
	b.access.close()
}

// Shutdown stops listening and lets requests and upgraded connections finish until ctx ends; then it closes them and returns
// ctx's error. The configuration has no effect any more.
func (b *Balancer) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	fronts, packets := b.fronts, b.packets
	b.fronts, b.packets = map[string]*front{}, map[string]*packetFront{}
	b.face()
	b.mu.Unlock()
	var all sync.WaitGroup
	for _, f := range packets {
		all.Go(f.end)
	}
	for _, f := range fronts {
		all.Go(func() { f.end(ctx) })
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

// Ready is nil when every listener of the configuration is bound and this node is not short of what connections take; the error says for each other listener why it is not,
// and what is missing.
func (b *Balancer) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	if !b.inForce {
		return errNotInForce
	}
	errs := []error{b.refusals, b.settings.files.missing, b.short.ready(time.Now())}
	for _, f := range b.listening() {
		_, _, err := f.state()
		if over, ok := f.(*front); ok {
			err = errors.Join(err, over.tlsProblem())
		}
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
	for _, f := range b.listening() {
		if name, addr, _ := f.state(); name == listener {
			return addr
		}
	}
	return nil
}

// Instances tells how this node sees the instances of the configuration, by cluster and name.
func (b *Balancer) Instances() []InstanceStatus {
	var all []InstanceStatus
	contact := b.contact.look()
	for _, c := range b.routing.Load().clusters {
		for _, in := range c.instances {
			all = append(all, in.status(contact))
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
