package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// conflictEvery is how often a conflict about one address is told of: two machines that each defend an address against the other must not fill the link.
// A claim that comes sooner is told of when the time is over.
const conflictEvery = 250 * time.Millisecond

// hereEvery is how often an address is told of that somebody else has configured on this machine, as long as it is there.
const hereEvery = 20 * time.Second

// Watch tells f what happens to the addresses and their interfaces, one event after the other, until ctx ends; then it gives the context's error. It tells
//
//   - EventConflict when a frame of another machine claims an address that this machine holds and has not silenced, at most once per conflictEvery and
//     address; and when somebody on this machine adds an address that is not held (Hardware is then empty), and once per hereEvery as long as it is there;
//   - EventLinkDown when an interface goes down, loses its carrier or is gone, and for those that are so at the start; EventLinkUp when it can carry
//     traffic again, or has another link-layer address;
//   - EventDropped when a held address is gone without Remove.
//
// It only tells: the caller announces again, or adds what went.
func (k *Kernel) Watch(ctx context.Context, f func(vip.Event)) error {
	heard, leave := k.subscribers.join()
	defer leave()
	w := &watch{k: k, tell: f, heard: heard, told: map[*held]time.Time{}, late: map[*held]claim{}, here: map[*held]time.Time{}}
	for {
		err := w.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// ENOBUFS: more happened than the socket's buffer holds. The next run asks how things are, and misses nothing but what is over.
		if !errors.Is(err, unix.ENOBUFS) {
			k.logf("watch the links: %v; again in 1 s", err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
	}
}

// watch is the state of one Watch. All of it belongs to the goroutine that called that.
type watch struct {
	k     *Kernel
	tell  func(vip.Event)
	heard <-chan claim
	told  map[*held]time.Time // of the last conflict
	late  map[*held]claim     // claims that wait for their time
	here  map[*held]time.Time // when it was told that somebody else has configured them on this machine
	down  map[*port]bool      // what was told of the links; nil: nothing yet
}

// run watches until something breaks.
func (w *watch) run(ctx context.Context) error {
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: groups})
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	// A second of everything that may happen to 16 addresses and their links is far less.
	_ = conn.SetReadBuffer(1 << 20)
	notes, broken := make(chan note), make(chan error, 1)
	quit := make(chan struct{})
	go func() {
		defer close(notes)
		broken <- receive(conn, notes, quit)
	}()
	defer func() {
		close(quit)
		_ = conn.Close()
		for range notes { // until the goroutine has ended
		}
	}()

	if err := w.start(); err != nil {
		return err
	}
	if w.k.subscribed != nil {
		w.k.subscribed()
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(w.next())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n, ok := <-notes:
			if !ok {
				return <-broken
			}
			if n.link {
				w.link(n)
			} else if w.k.virtual(n.ip) {
				w.address(n)
			}
		case c := <-w.heard:
			w.claim(c)
		case <-timer.C:
			for _, c := range w.due() {
				w.claim(c)
			}
			for a, at := range w.here {
				if time.Since(at) >= hereEvery {
					w.here[a] = time.Now() // also when it cannot be seen now
					w.address(note{ip: a.IP()})
				}
			}
		}
	}
}

// receive hands over notes until the connection breaks or is closed.
func receive(conn *netlink.Conn, notes chan<- note, quit <-chan struct{}) error {
	for {
		messages, err := conn.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			n, ok, err := readNote(m)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			select {
			case notes <- n:
			case <-quit:
				return os.ErrClosed
			}
		}
	}
}

// start tells how things are: at the beginning, and after something was missed.
func (w *watch) start() error {
	first := w.down == nil
	if first {
		w.down = map[*port]bool{}
	}
	for _, p := range w.k.ports {
		w.k.mu.Lock()
		err := w.k.find(p)
		there, up := p.index != 0, p.up
		w.k.mu.Unlock()
		if err != nil && there {
			return err
		}
		w.state(p, up, fmt.Sprintf("interface %s cannot carry traffic", p.name))
	}
	for _, a := range w.k.addrs {
		if !first {
			w.address(note{ip: a.IP(), gone: true})
		}
	}
	return nil
}

// state tells when an interface is not as it was.
func (w *watch) state(p *port, up bool, why string) {
	switch {
	case !up && !w.down[p]:
		w.tell(vip.Event{Kind: vip.EventLinkDown, Interface: p.name, Text: why})
	case up && w.down[p]:
		w.tell(vip.Event{Kind: vip.EventLinkUp, Interface: p.name, Text: fmt.Sprintf("interface %s carries traffic again", p.name)})
	}
	w.down[p] = !up
}

// link goes by what the note says, not by how things are now: a link that was down for a moment may have been plugged in elsewhere.
func (w *watch) link(n note) {
	for _, p := range w.k.ports {
		switch {
		case n.index == p.indexNow(w.k) && (n.gone || n.name != p.name):
			w.k.mu.Lock()
			_ = w.k.find(p) // it may be another one of that name by now
			w.k.mu.Unlock()
			w.state(p, false, fmt.Sprintf("interface %s is gone", p.name))
		case !n.gone && n.name == p.name:
			w.port(p, n)
		}
	}
}

func (w *watch) port(p *port, n note) {
	w.k.mu.Lock()
	was := p.mac
	if p.index != n.index || !bytes.Equal(was, n.mac) {
		if err := w.k.find(p); err != nil {
			w.k.logf("%v", err)
		}
	}
	p.up = n.up
	changed := !bytes.Equal(was, p.mac)
	w.k.mu.Unlock()
	known := !w.down[p]
	w.state(p, n.up, fmt.Sprintf("interface %s lost its carrier or was set down", p.name))
	if changed && known && n.up {
		w.tell(vip.Event{Kind: vip.EventLinkUp, Interface: p.name, Text: fmt.Sprintf("interface %s has the link-layer address %s now", p.name, n.mac)})
	}
}

func (p *port) indexNow(k *Kernel) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return p.index
}

// address looks at how things are, since notes of this process's own doing come late.
func (w *watch) address(n note) {
	k := w.k
	k.mu.Lock()
	all, err := list(k.watchNL)
	if err != nil {
		k.mu.Unlock()
		k.logf("%v", err)
		return
	}
	var e vip.Event
	for _, a := range k.addrs {
		if a.IP() != n.ip {
			continue
		}
		there, foreign := false, false // by somebody else, and not what a Remove of ours could not take off
		for _, o := range all {
			if ip, _ := addrOf(o); ip == n.ip {
				there, foreign = true, foreign || !leftover(o)
			}
		}
		delete(w.here, a)
		switch {
		case a.have && !there:
			a.have = false
			e = vip.Event{Kind: vip.EventDropped, Interface: a.Interface,
				Text: fmt.Sprintf("%s is no more on this machine: its lifetime ended, its interface went, or somebody took it off", a.Address)}
		case !k.wanted && foreign:
			w.here[a] = time.Now()
			e = vip.Event{Kind: vip.EventConflict, Interface: a.Interface, Claim: vip.Claim{Address: a.Address},
				Text: fmt.Sprintf("%s was added to this machine, and not by Holdfast", a.Address)}
		}
	}
	k.mu.Unlock()
	if e.Text != "" {
		w.tell(e)
	}
}

// claim tells of a claim, or keeps it for later.
func (w *watch) claim(c claim) {
	w.k.mu.Lock()
	a := w.k.claimedBy(c)
	openly := w.k.wanted && !w.k.silent && a != nil && a.have
	w.k.mu.Unlock()
	if !openly {
		return
	}
	now := time.Now()
	if last, ok := w.told[a]; ok && now.Sub(last) < conflictEvery {
		w.late[a] = c
		return
	}
	delete(w.late, a)
	if ours(c.mac) {
		return
	}
	w.told[a] = now
	w.tell(vip.Event{Kind: vip.EventConflict, Interface: a.Interface, Claim: vip.Claim{Address: a.Address, Hardware: c.mac},
		Text: fmt.Sprintf("%s claims %s, which this machine holds", c.mac, a.Address)})
}

// ours says whether a link-layer address is one of another interface of this machine, which the kernel lets answer for all addresses.
func ours(mac string) bool {
	all, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range all {
		if i.HardwareAddr.String() == mac {
			return true
		}
	}
	return false
}

// next is how long until a claim that was kept is due, or an address is to be looked at again.
func (w *watch) next() time.Duration {
	wait := time.Hour
	for a := range w.late {
		wait = min(wait, time.Until(w.told[a].Add(conflictEvery)))
	}
	for _, at := range w.here {
		wait = min(wait, time.Until(at.Add(hereEvery)))
	}
	return max(wait, 0)
}

// due takes out the claims whose time has come: whether they still are conflicts is claim's business, and what it takes for none must not come again at once.
func (w *watch) due() []claim {
	var all []claim
	for a, c := range w.late {
		if time.Since(w.told[a]) >= conflictEvery {
			delete(w.late, a)
			all = append(all, c)
		}
	}
	return all
}
