package lan

import (
	"errors"
	"fmt"
	"os"

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

// ports is the range from which a machine's kernel takes the ports of outgoing connections, as proc(5) has it, seen by a thread that is on the machine.
const ports = "/proc/sys/net/ipv4/ip_local_port_range"

// FewPorts leaves a machine so many ports for connections that it makes from now on, for each address that it connects to; those that it has stay. The heal gives back what it had.
func (l *LAN) FewPorts(machine string, n int) (heal func() error, err error) {
	m := l.machines[machine]
	if m == nil {
		return nil, errors.New("there is no machine " + machine)
	}
	set := func(text []byte) (failed error) {
		return errors.Join(l.scope.Try(func() { m.Do(func() { failed = os.WriteFile(ports, text, 0o644) }) }), failed)
	}
	var before []byte
	var failed error
	if err := l.scope.Try(func() { m.Do(func() { before, failed = os.ReadFile(ports) }) }); errors.Join(err, failed) != nil {
		return nil, errors.Join(err, failed)
	}
	var first, last int
	if _, err := fmt.Sscan(string(before), &first, &last); err != nil {
		return nil, fmt.Errorf("the range of ports %q: %w", before, err)
	}
	// The last ones: a machine that has been up for a moment has hardly used them.
	if err := set(fmt.Appendf(nil, "%d %d", max(first, last-n+1), last)); err != nil {
		return nil, err
	}
	return func() error { return set(before) }, nil
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
