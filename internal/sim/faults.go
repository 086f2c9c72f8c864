package sim

import (
	"fmt"
	"time"
)

// fault is one thing that breaks, and is healed after a while.
type fault struct {
	name   string
	inject func() (heal func())
	lasts  time.Duration
}

// maxCalm is the longest time from one fault to the next, and to the first.
const maxCalm = 6 * time.Second

// trouble breaks things, drawn from the seed, several at once. Each is healed when its time is over, and all of them with the load.
func (w *world) trouble() {
	c := newChance(w.s.Seed, "faults")
	w.all.Go(func() {
		for w.pause(c.between(500*time.Millisecond, maxCalm)) {
			f := w.draw(c)
			w.all.Go(func() { w.suffer(f) })
		}
	})
}

// suffer lives through one fault.
func (w *world) suffer(f fault) {
	w.mu.Lock()
	w.faults++
	w.count++
	w.mu.Unlock()
	w.trace.add("fault: %s for %v", f.name, f.lasts.Round(time.Millisecond))
	heal := f.inject()
	w.pause(f.lasts)
	if heal != nil {
		heal()
	}
	w.trace.add("healed: %s", f.name)
	w.mu.Lock()
	w.faults--
	w.calm = w.trace.at()
	w.mu.Unlock()
}

// draw makes one fault.
func (w *world) draw(c *chance) fault {
	m := w.machines[c.below(len(w.machines))]
	short, long := c.between(100*time.Millisecond, 3*time.Second), c.between(time.Second, 12*time.Second)
	switch kind := c.below(23); kind {
	case 0, 1, 2:
		return fault{"kill -9 of " + m.name, func() func() { m.crash(false); return m.start }, short}
	case 3:
		return fault{"power loss of " + m.name, func() func() { m.crash(true); return func() { m.powerOn(); m.start() } }, long}
	case 4:
		return fault{"restart of " + m.name, func() func() { m.stop(); return m.start }, short}
	case 5:
		return fault{"power loss of all", func() func() { return w.everybody(true) }, short}
	case 6:
		return fault{"kill -9 of all", func() func() { return w.everybody(false) }, short}
	case 7, 8:
		return w.isolation(m, long)
	case 9:
		return w.halves(c, long)
	case 10, 11:
		return w.oneWay(c, long)
	case 12:
		return w.slowNetwork(c, m, long)
	case 13:
		return w.lossy(c, m, long)
	case 14:
		return fault{"reset of all connections of " + m.name, func() func() { w.net.reset(m.addr); return nil }, 0}
	case 15, 16:
		return w.slowDisk(c, m, long)
	case 17:
		return w.hungDisk(m, long)
	case 18:
		return fault{"broken fsync of " + m.name, func() func() { w.breakDisk(m); return nil }, short}
	case 19, 20:
		return w.frozen(c, m, long)
	default:
		return w.wrongClock(c, m, long)
	}
}

func (w *world) everybody(power bool) (heal func()) {
	for _, m := range w.machines {
		m.crash(power)
	}
	return func() {
		for _, m := range w.machines {
			if power {
				m.powerOn()
			}
			m.start()
		}
	}
}

// cutting is a fault that cuts the given ways.
func (w *world) cutting(name string, ways []way, d time.Duration) fault {
	return fault{name, func() func() { w.net.cut(ways...); return func() { w.net.mend(ways...) } }, d}
}

func (w *world) isolation(m *machine, d time.Duration) fault {
	var ways []way
	for _, o := range w.machines {
		if o != m {
			ways = append(ways, way{m.addr, o.addr}, way{o.addr, m.addr})
		}
	}
	return w.cutting("isolation of "+m.name, ways, d)
}

// halves cuts the group in two, of any sizes; with two links of three nodes cut it is a bridge.
func (w *world) halves(c *chance, d time.Duration) fault {
	var ways []way
	name := "cut between"
	for i, a := range w.machines {
		for _, b := range w.machines[:i] {
			if c.is(0.5) {
				ways = append(ways, way{a.addr, b.addr}, way{b.addr, a.addr})
				name += fmt.Sprintf(" %s-%s", b.name, a.name)
			}
		}
	}
	return w.cutting(name, ways, d)
}

func (w *world) oneWay(c *chance, d time.Duration) fault {
	o := c.order(len(w.machines))
	from, to := w.machines[o[0]], w.machines[o[1]]
	ways := []way{{from.addr, to.addr}}
	name := "nothing gets from " + from.name + " to " + to.name
	if c.is(0.5) { // it can send to nobody
		name = from.name + " is heard by nobody"
		ways = nil
		for _, m := range w.machines {
			if m != from {
				ways = append(ways, way{from.addr, m.addr})
			}
		}
	}
	return w.cutting(name, ways, d)
}

func (w *world) each(m *machine, f func(way)) {
	for _, o := range w.machines {
		if o != m {
			f(way{m.addr, o.addr})
			f(way{o.addr, m.addr})
		}
	}
}

func (w *world) slowNetwork(c *chance, m *machine, d time.Duration) fault {
	extra := c.between(5*time.Millisecond, 300*time.Millisecond)
	return fault{fmt.Sprintf("delay of about %v at %s", extra.Round(time.Millisecond), m.name), func() func() {
		w.net.change(func() { w.each(m, func(l way) { w.net.slow[l] += extra }) })
		return func() { w.net.change(func() { w.each(m, func(l way) { w.net.slow[l] -= extra }) }) }
	}, d}
}

func (w *world) lossy(c *chance, m *machine, d time.Duration) fault {
	p := []float64{0.01, 0.05, 0.2}[c.below(3)]
	return fault{fmt.Sprintf("loss of %.0f %% at %s", 100*p, m.name), func() func() {
		w.net.change(func() { w.each(m, func(l way) { w.net.loss[l] = p }) })
		return func() { w.net.change(func() { w.each(m, func(l way) { w.net.loss[l] = 0 }) }) }
	}, d}
}

func (w *world) slowDisk(c *chance, m *machine, d time.Duration) fault {
	extra := c.between(20*time.Millisecond, 500*time.Millisecond)
	change := func(by time.Duration) func() {
		return func() {
			m.disk.mu.Lock()
			defer m.disk.mu.Unlock()
			m.disk.extra += by
		}
	}
	return fault{fmt.Sprintf("fsync of about %v at %s", extra.Round(time.Millisecond), m.name), func() func() { change(extra)(); return change(-extra) }, d}
}

func (w *world) hungDisk(m *machine, d time.Duration) fault {
	return fault{"hung disk of " + m.name, func() func() {
		gate := make(chan struct{})
		m.disk.mu.Lock()
		defer m.disk.mu.Unlock()
		if m.disk.hangs != nil {
			return nil // another fault has done so already
		}
		m.disk.hangs = gate
		return func() {
			m.disk.mu.Lock()
			defer m.disk.mu.Unlock()
			m.disk.hangs = nil
			close(gate)
		}
	}, d}
}

// frozen is a process that stands still, as far as others can see: it sends nothing, writes nothing, and takes or drops no address. Its goroutines go on here, since all nodes share
// one scheduler, but nothing of what they do gets out. Sometimes the machine has lost its network a moment before: the hardest trial of a lease.
func (w *world) frozen(c *chance, m *machine, d time.Duration) fault {
	var before time.Duration
	name := "freeze"
	if c.is(0.5) {
		before = c.between(50*time.Millisecond, 450*time.Millisecond)
		name = fmt.Sprintf("isolation, and %v later freeze,", before.Round(time.Millisecond))
	}
	aimed := c.is(0.7)
	if aimed {
		name += " of the holder"
	} else {
		name += " of " + m.name
	}
	return fault{name, func() func() {
		if h := w.holder(); aimed && h != nil {
			m = h
		}
		mend := w.isolation(m, d).inject()
		time.Sleep(before)
		p, answer := m.running(), w.hungDisk(m, d).inject()
		if p != nil {
			p.keeper.freeze(true)
		}
		return func() {
			if p != nil {
				p.keeper.freeze(false)
			}
			if answer != nil {
				answer()
			}
			mend()
		}
	}, d}
}

// holder is the machine that has the virtual address; nil: none has.
func (w *world) holder() *machine {
	name := w.holders.present()
	for _, m := range w.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

// breakDisk has the next fsync fail. The node must stop, and is started again.
func (w *world) breakDisk(m *machine) {
	w.mu.Lock()
	w.broken[m.name] = true
	w.mu.Unlock()
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.breaks = true
}

// wrongClock sets the wall clock of one machine, and back. Small errors are such that the group follows them, large ones such that it must not.
func (w *world) wrongClock(c *chance, m *machine, d time.Duration) fault {
	off := c.between(50*time.Millisecond, 450*time.Millisecond)
	if c.is(0.6) {
		off = c.between(2*time.Second, 3*time.Minute)
	}
	if c.is(0.5) {
		off = -off
	}
	aimed := c.is(0.5)
	name := m.name
	if aimed {
		name = "the holder"
	}
	return fault{fmt.Sprintf("clock of %s set by %v", name, off.Round(time.Millisecond)), func() func() {
		if h := w.holder(); aimed && h != nil {
			m = h
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, o := range w.machines { // one at a time: most clocks are right
			if o.off.Load() != 0 {
				return nil
			}
		}
		m.off.Store(int64(off))
		return func() { m.off.Store(0) }
	}, d}
}

// healAll is for what the end of the load has cut short: suffer heals by itself, but a node may be down that failed.
func (w *world) healAll() {
	for {
		w.mu.Lock()
		left := w.faults
		w.mu.Unlock()
		if left == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, m := range w.machines {
		m.disk.mu.Lock()
		m.disk.breaks = false
		m.disk.mu.Unlock()
		m.powerOn()
		m.start()
	}
}
