package raftnode

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// troubles is why a node is not in its group yet, by the address where it tried. While nodes start in any order a refused connection is no
// news; what lasts is said in the log, and always in Ready.
type troubles struct {
	mu sync.Mutex
	at map[string]*trouble
}

type trouble struct {
	text         string
	since, noted time.Time
}

const (
	// troubleLasts is how long the same reason must hold before the log says so; troubleAgain is when it says so again.
	troubleLasts = 3 * time.Second
	troubleAgain = 30 * time.Second
)

// note takes the outcome of one attempt and tells whether it is time to log it.
func (t *troubles) note(addr, text string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil {
		t.at = map[string]*trouble{}
	}
	if text == "" {
		delete(t.at, addr)
		return false
	}
	if len(t.at) >= 2*maxGreeted && t.at[addr] == nil {
		return false
	}
	last := t.at[addr]
	if last == nil || last.text != text {
		t.at[addr] = &trouble{text: text, since: now}
		return false
	}
	if now.Sub(last.since) < troubleLasts || !last.noted.IsZero() && now.Sub(last.noted) < troubleAgain {
		return false
	}
	last.noted = now
	return true
}

// String lists what holds now, by address.
func (t *troubles) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for addr, one := range t.at {
		list = append(list, addr+": "+one.text)
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// inTrouble notes why an attempt to found or join at addr failed; nil for one that did not.
func (n *Node) inTrouble(addr string, err error) {
	text := ""
	switch {
	case errors.Is(err, pki.ErrOtherGroup), errors.Is(err, pki.ErrUntrusted):
		text = "the node there belongs to another group: it was started with another init string, or the join token is of another group"
	case err != nil:
		text = strings.TrimPrefix(err.Error(), "dial "+addr+": ")
	}
	if n.troubles.note(addr, text, time.Now()) {
		n.log.Warn("no way into the group by this address yet", "address", addr, "reason", text)
	}
}
