package lan

import (
	"errors"
	"fmt"

	"github.com/holdfast-lb/holdfast/chaos/proxy"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// Impose has the switch do to frames that one machine sends another what an effect says, until lift is called. There is Hold, which loses all of them, Loss and Rate; either machine may be
// proxy.Any, for each one.
func (l *LAN) Impose(from, to string, e proxy.Effect) (lift func(), err error) {
	what := netlab.Loss{Share: e.Loss, Rate: uint64(max(e.Rate, 0))}
	rest := e
	rest.Hold, rest.Loss, rest.Rate = false, 0, 0
	switch {
	case rest != (proxy.Effect{}):
		return nil, fmt.Errorf("from %s to %s: a switch can lose frames, all or a share or beyond a rate, and nothing else", from, to)
	case e.Hold:
		what = netlab.Loss{Share: 1}
	case e.Loss == 0 && e.Rate == 0:
		return func() {}, nil
	}
	var ends []func()
	lift = func() {
		for _, end := range ends {
			if err := l.scope.Try(end); err != nil {
				l.scope.Errorf("%v", err)
			}
		}
		ends = nil
	}
	for sender, s := range l.machines {
		for receiver, r := range l.machines {
			if s == r || from != proxy.Any && from != sender || to != proxy.Any && to != receiver {
				continue
			}
			if err := l.scope.Try(func() { ends = append(ends, l.lab.Lose(s, r, what)) }); err != nil {
				lift()
				return nil, err
			}
		}
	}
	if len(ends) == 0 {
		return nil, fmt.Errorf("from %s to %s: there are no such machines", from, to)
	}
	return lift, nil
}

// Unplug pulls a machine's cable: its interface has no carrier any more. The heal puts it back in.
func (l *LAN) Unplug(machine string) (heal func() error, err error) {
	return l.on(machine, l.plug, func(m *netlab.NS) { l.lab.Unplug(m) })
}

func (l *LAN) plug(m *netlab.NS) { l.lab.Plug(m) }

// Cut takes a machine's port off the bridge: its interface keeps its carrier, and nobody hears it, nor it anybody. The heal ends that.
func (l *LAN) Cut(machine string) (heal func() error, err error) {
	return l.on(machine, func(m *netlab.NS) { l.lab.Mend(m) }, func(m *netlab.NS) { l.lab.Cut(m) })
}

func (l *LAN) on(machine string, heal, hurt func(*netlab.NS)) (func() error, error) {
	m := l.machines[machine]
	if m == nil {
		return nil, errors.New("there is no machine " + machine)
	}
	if err := l.scope.Try(func() { hurt(m) }); err != nil {
		return nil, err
	}
	return func() error { return l.scope.Try(func() { heal(m) }) }, nil
}
