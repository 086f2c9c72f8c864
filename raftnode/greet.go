package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxGreeted bounds how many nodes a forming node remembers.
const maxGreeted = 32

// hello is what nodes that found a group tell each other, as request and as reply.
type hello struct {
	From   founder `json:"from"`
	Expect int     `json:"expect"`
	// View is all nodes that From has lately heard of directly, itself included, by name.
	View []founder `json:"view"`
	// Formed says that From is a member of the group already; Members are the founders if it knows them.
	Formed  bool      `json:"formed"`
	Members []founder `json:"members,omitempty"`
	release
}

func (h hello) valid() bool {
	if len(h.View) > maxGreeted || len(h.Members) > maxGreeted || h.release.valid() != nil {
		return false
	}
	for _, m := range slices.Concat([]founder{h.From}, h.View, h.Members) {
		if checkDialable("peer address", m.Addr) != nil || nameOf(m.ID) != m.Name || len(m.ID) > 80 {
			return false
		}
	}
	return true
}

// formation is what a forming node knows of the others.
type formation struct {
	promising turn // one change of the promise at a time

	mu      sync.Mutex
	active  bool
	done    chan struct{} // closed when a founder has told this node to bootstrap
	told    bool
	greeted map[string]greeting // by name
}

type greeting struct {
	hello
	at time.Time
}

func (f *formation) begin() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active, f.greeted = true, make(map[string]greeting)
	if f.done == nil {
		f.done = make(chan struct{})
	}
	return f.done
}

func (f *formation) end() {
	f.mu.Lock()
	f.active = false
	f.mu.Unlock()
}

func (f *formation) isActive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active
}

// tell ends form: the group is founded.
func (f *formation) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.told && f.done != nil {
		f.told = true
		close(f.done)
	}
}

// note remembers a direct greeting.
func (f *formation) note(h hello, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active && (len(f.greeted) < maxGreeted || f.greeted[h.From.Name].at != (time.Time{})) {
		f.greeted[h.From.Name] = greeting{h, now}
	}
}

// view is self and all fresh ones, by name.
func (f *formation) view(self founder, now time.Time) []founder {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []founder{self}
	for _, g := range f.greeted {
		if now.Sub(g.at) < greetFresh && g.From.Name != self.Name {
			out = append(out, g.From)
		}
	}
	sortMembers(out)
	return out
}

// agreement gives the view, and whether it has the expected size and all in it have said that they see the same.
func (f *formation) agreement(self founder, expect int, now time.Time) ([]founder, bool) {
	members := f.view(self, now)
	if len(members) != expect {
		return members, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range members {
		if g := f.greeted[m.Name]; m.Name != self.Name && (g.Expect != expect || !sameMembers(g.View, members)) {
			return members, false
		}
	}
	return members, true
}

// addresses are all that a forming node should greet: what it was told, and what those told it.
func (f *formation) addresses(join []string, self string) []string {
	seen := map[string]bool{self: true}
	var out []string
	add := func(addr string) {
		if !seen[addr] && len(out) < maxGreeted {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	for _, addr := range join {
		add(addr)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.greeted {
		add(g.From.Addr)
		for _, m := range g.View {
			add(m.Addr)
		}
	}
	return out
}

// unlike says that this node cannot found a group with a greeting's sender, which has another schema or waits for another number of nodes.
// In a group that is there already its leader judges.
func (n *Node) unlike(h hello) error {
	if !h.Formed {
		if err := n.admissible(h.From.Name, h.release); err != nil {
			return err
		}
	}
	if h.Formed || h.Expect == n.opt.BootstrapExpect || h.Expect == 0 {
		return nil
	}
	return fmt.Errorf("node %s has --bootstrap-expect %d, this node %d: it must be the same everywhere", h.From.Name, h.Expect, n.opt.BootstrapExpect)
}

// greetAll greets everybody once. It gives the founders (perhaps none by name) when one of them is in the group already.
func (n *Node) greetAll(ctx context.Context) (formed []founder) {
	ctx, cancel := context.WithTimeout(ctx, greetFresh/2)
	defer cancel()
	f := &n.formation
	request := encodeJSON(hello{From: n.self(), Expect: n.opt.BootstrapExpect, View: f.view(n.self(), time.Now()), release: n.says})
	addrs := f.addresses(n.known(), n.addr)
	replies := make(chan *hello, len(addrs))
	for _, addr := range addrs {
		go func() {
			b, err := n.pool.call(ctx, addr, "", callHello, request)
			if err != nil {
				n.inTrouble(addr, err)
				replies <- nil
				return
			}
			h, err := decodeJSON[hello](b)
			if err != nil || !h.valid() {
				n.inTrouble(addr, errors.New("its greeting cannot be read: is it of another version?"))
				replies <- nil
				return
			}
			n.inTrouble(addr, n.unlike(h))
			replies <- &h
		}()
	}
	for range addrs {
		h := <-replies
		switch {
		case h == nil || h.From.ID == *n.id.Load(): // nobody, or this node by another address
		case h.Formed:
			formed = append([]founder{}, h.Members...)
		case h.Expect > 0 && h.schema() == n.says.schema():
			f.note(*h, time.Now())
		}
	}
	return formed
}

// handleHello answers a greeting. Members of a group answer too, so that a late node learns that there is one.
func (n *Node) handleHello(_ context.Context, from caller, payload []byte) ([]byte, error) {
	h, err := decodeJSON[hello](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := h.From.check(from); err != nil {
		return nil, err
	}
	if !h.valid() {
		return nil, refused("greeting: names nodes or a program that cannot be")
	}
	now := time.Now()
	f := &n.formation
	reply := hello{From: n.self(), release: n.says}
	blank, err := n.blank()
	if err != nil {
		return nil, err
	}
	if blank {
		if err := n.admissible(h.From.Name, h.release); err != nil {
			return nil, err
		}
	}
	f.note(h, now)
	if !blank {
		reply.Formed = true
		if p, err := n.loadPromise(); err == nil {
			reply.Members = p.Members
		}
	} else if f.isActive() {
		reply.Expect, reply.View = n.opt.BootstrapExpect, f.view(n.self(), now)
	}
	return encodeJSON(reply), nil
}

func sortMembers(m []founder) {
	slices.SortFunc(m, func(a, b founder) int { return strings.Compare(a.Name, b.Name) })
}

// sameMembers compares names, ids and addresses; both are sorted.
func sameMembers(a, b []founder) bool { return bytes.Equal(encodeJSON(a), encodeJSON(b)) }

func namesOf(m []founder) []string {
	var out []string
	for _, f := range m {
		out = append(out, f.Name)
	}
	return out
}
