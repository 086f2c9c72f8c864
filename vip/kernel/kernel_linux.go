package kernel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// Kernel is the virtual addresses on this machine. See the package.
type Kernel struct {
	logf  func(string, ...any)
	table string // the name of the nftables tables
	noNFT error  // why there is no nftables; nil: there is
	asks  bool   // it is for Ask alone

	nl      *netlink.Handle // for what must be fast
	watchNL *netlink.Handle // for what may take long
	stop    context.CancelFunc
	readers sync.WaitGroup

	subscribers subscribers
	subscribed  func() // for tests: Watch tells of everything from now on
	relayMost   uint32 // relayMost, but for tests

	// filters is held for changes of nftables, which may take the kernel long: before mu, never under it, so that Add and Remove do not wait. What is in
	// force (silent, relaying) is written under both.
	filters sync.Mutex

	mu       sync.Mutex
	wanted   bool // between Add and Remove
	silent   bool
	relaying bool
	closed   bool
	addrs    []*held
	ports    []*port
	groups   *groups
}

// held is one virtual address and what this process knows of it.
type held struct {
	vip.Address
	port *port
	have bool // it was added, and nobody is known to have taken it off
	at   int  // the index of the interface on which it was added
	flag int  // the flags that it was added with
}

// Open prepares for the addresses: it checks that the interfaces are there and fit, that this process may do what it has to, and that nobody else has
// configured an address on this machine, and removes what a predecessor that was killed left of them: addresses and nftables tables. It adds nothing. logf
// gets what an operator should know and no error says.
func Open(addrs []vip.Address, logf func(string, ...any)) (*Kernel, error) {
	if err := distinct(addrs); err != nil {
		return nil, err
	}
	if missing := Missing(); len(missing) > 0 {
		return nil, privilegeError(missing)
	}
	k := &Kernel{logf: logf, table: tableName(addrs), relayMost: relayMost}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if err := k.open(ctx, addrs); err != nil {
		_ = k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Kernel) open(ctx context.Context, addrs []vip.Address) (err error) {
	if k.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if k.watchNL, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	for _, a := range addrs {
		p := k.portOf(a.Interface)
		if p == nil {
			p = &port{name: a.Interface}
			k.ports = append(k.ports, p)
		}
		k.addrs = append(k.addrs, &held{Address: a, port: p})
	}
	for _, p := range k.ports {
		if err := k.fits(p); err != nil {
			return err
		}
	}
	if err := k.mayConfigure(); err != nil {
		return err
	}
	if k.asks {
		return k.hearAll(ctx)
	}
	if err := k.removeLeftovers(); err != nil {
		return err
	}
	// Only now: as long as a leftover was there, the rules of its silence kept it silent.
	if k.noNFT = k.removeStale(); k.noNFT != nil {
		k.logf("no nftables: new connections cannot be relayed in a planned hand-over (%v)", k.noNFT)
	}
	return k.hearAll(ctx)
}

func (k *Kernel) hearAll(ctx context.Context) error {
	for _, p := range k.ports {
		if err := k.listen(ctx, p); err != nil {
			return err
		}
		if err := k.join(p); err != nil {
			return err
		}
	}
	return nil
}

// Ask is Probe for somebody who is not going to hold the addresses, on a machine where a node may be doing so: nothing is removed, nothing added. Addresses that this machine has itself must not be among them.
func Ask(ctx context.Context, addrs []vip.Address, wait time.Duration, logf func(string, ...any)) ([]vip.Claim, error) {
	if err := distinct(addrs); err != nil {
		return nil, err
	}
	if missing := Missing(); len(missing) > 0 {
		return nil, privilegeError(missing)
	}
	k := &Kernel{logf: logf, asks: true}
	heard, stop := context.WithCancel(ctx)
	k.stop = stop
	defer func() { _ = k.Close() }()
	if err := k.open(heard, addrs); err != nil {
		return nil, err
	}
	return k.Probe(ctx, wait)
}

// Close takes the addresses off, removes the nftables tables and closes all sockets. Watch and Probe end.
func (k *Kernel) Close() error {
	k.filters.Lock()
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		k.filters.Unlock()
		return nil
	}
	k.closed = true
	var errs []error
	if k.wanted {
		errs = append(errs, k.remove())
	}
	k.mu.Unlock()
	if k.silent && errors.Join(errs...) == nil { // nobody may learn of the addresses before they are gone
		errs = append(errs, k.dropSilence())
	}
	if k.relaying {
		errs = append(errs, k.dropRelay())
	}
	k.filters.Unlock()

	k.stop()
	for _, p := range k.ports {
		p.close()
	}
	k.groups.close()
	k.readers.Wait()
	for _, h := range []*netlink.Handle{k.nl, k.watchNL} {
		if h != nil {
			h.Close()
		}
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("the addresses have been given back")

func (k *Kernel) portOf(name string) *port {
	for _, p := range k.ports {
		if p.name == name {
			return p
		}
	}
	return nil
}

func distinct(addrs []vip.Address) error {
	if len(addrs) == 0 {
		return errors.New("no virtual address")
	}
	for i, a := range addrs {
		if !a.Prefix.IsValid() || a.IP().Is4In6() || a.Interface == "" {
			return fmt.Errorf("%q is not a virtual address", a)
		}
		for _, b := range addrs[:i] {
			if a.IP() == b.IP() {
				return fmt.Errorf("%s and %s are the same address: name it once", b, a)
			}
		}
	}
	return nil
}

// tableName is the same for the same addresses, so that a successor finds what was left, and other for others on the same machine.
func tableName(addrs []vip.Address) string {
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return fmt.Sprintf("%s%x", tablePrefix, sum[:4])
}
