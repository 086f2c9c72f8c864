package field

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/warp"
)

// Fault is something that happens to the holder of the address, and ends again.
type Fault struct {
	Name string
	// Planned: somebody wants the node to hand over; nothing may be lost.
	Planned bool
	// Keeps: the holder is to stay the holder.
	Keeps bool
	// MayKeep: it may stay the holder, or not.
	MayKeep bool
	// Own: only Holdfast knows what is meant.
	Own bool
	// Lasts is how long the fault takes at least until it is healed; 0: as the round says.
	Lasts time.Duration

	hurt, heal func(ctx context.Context, v *victim) error
}

// victim is the node that a fault happens to.
type victim struct {
	network *Network
	system  System
	node    int
	before  Processes // that ran when the fault began
	clocks  []*warp.Clock
	command chan error // of an operator, while it runs
	heir    int        // the process that has taken the node over
}

// KernelLease is the longest that a kernel may keep an address that nobody renews.
const KernelLease = 2 * time.Second

// plannedLasts is for how long a planned hand-over is watched: it drains for a second at least before the address moves, and requests of a second end then.
const plannedLasts = 2500 * time.Millisecond

// leaseOver is how long the faults last that only the kernel's lease ends.
const leaseOver = KernelLease + 700*time.Millisecond

// Faults are all of them.
func Faults() []Fault {
	nothing := func(context.Context, *victim) error { return nil }
	again := func(ctx context.Context, v *victim) error {
		if err := signal(v.before.All(), syscall.SIGKILL); err != nil {
			return err
		}
		return v.system.StartNode(ctx, v.node)
	}
	send := func(s syscall.Signal, to func(Processes) []int) func(context.Context, *victim) error {
		return func(_ context.Context, v *victim) error { return signal(to(v.before), s) }
	}
	main := func(p Processes) []int { return p.Main }
	guard := func(p Processes) []int { return p.Guard }
	link := func(do func(*victim)) func(context.Context, *victim) error {
		return func(_ context.Context, v *victim) error { do(v); return nil }
	}
	return []Fault{
		{Name: "kill", hurt: send(syscall.SIGKILL, main), heal: func(ctx context.Context, v *victim) error { return v.system.StartNode(ctx, v.node) }},
		{Name: "kill in its unit", Own: true, hurt: killedInUnit, heal: func(ctx context.Context, v *victim) error { return v.system.StartNode(ctx, v.node) }},
		{Name: "kill with guard", Own: true, Lasts: leaseOver, hurt: send(syscall.SIGKILL, Processes.All), heal: again},
		{Name: "machine gone", hurt: gone, heal: comeBack},
		{Name: "freeze", hurt: send(syscall.SIGSTOP, main), heal: send(syscall.SIGCONT, main)},
		{Name: "freeze with guard", Own: true, Lasts: leaseOver, hurt: send(syscall.SIGSTOP, Processes.All), heal: send(syscall.SIGCONT, Processes.All)},
		{Name: "guard killed", Own: true, MayKeep: true, hurt: send(syscall.SIGKILL, guard), heal: nothing},
		{Name: "link down", hurt: link(func(v *victim) { v.network.Nodes[v.node].LinkDown() }), heal: link(func(v *victim) { v.network.linkUp(v.node) })},
		{Name: "cut at the switch", hurt: link(func(v *victim) { v.network.Lab.Cut(v.network.Nodes[v.node]) }), heal: link(func(v *victim) { v.network.Lab.Mend(v.network.Nodes[v.node]) })},
		{Name: "hears, cannot send", hurt: link(func(v *victim) { v.network.Lab.Mute(v.network.Nodes[v.node]) }), heal: link(func(v *victim) { v.network.Lab.Hear(v.network.Nodes[v.node]) })},
		{Name: "sends, cannot hear", hurt: link(func(v *victim) { v.network.Lab.Deaf(v.network.Nodes[v.node]) }), heal: link(func(v *victim) { v.network.Lab.Hear(v.network.Nodes[v.node]) })},
		{Name: "clock an hour ahead", Keeps: true, Own: true, hurt: clock(time.Hour), heal: clockRight},
		{Name: "clock an hour back", Keeps: true, Own: true, hurt: clock(-time.Hour), heal: clockRight},
		{Name: "SIGTERM", Planned: true, hurt: func(_ context.Context, v *victim) error { return v.system.Stop(v.node) }, heal: endedThenAgain},
		{Name: "evacuate", Planned: true, Own: true, hurt: evacuate, heal: comeHome},
		{Name: "upgrade", Planned: true, Own: true, hurt: upgradeProgram, heal: ownProcessAgain},
	}
}

// FaultByName finds one.
func FaultByName(name string) (Fault, error) {
	for _, f := range Faults() {
		if f.Name == name {
			return f, nil
		}
	}
	return Fault{}, fmt.Errorf("there is no fault %q", name)
}

// unitFile is what the node is started by where it is in earnest, seen from the tests.
const unitFile = "../../scripts/systemd/holdfast.service"

// killedInUnit has the holder die in a unit of systemd, which then sends to the rest of the unit what its KillMode says.
func killedInUnit(ctx context.Context, v *victim) error {
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		return err
	}
	if err := signal(v.before.Main, syscall.SIGKILL); err != nil {
		return err
	}
	_ = v.system.(*Holdfast).Ended(ctx, v.node) // systemd acts when it hears of the end
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch _, mode, _ := strings.Cut(string(unit), "\nKillMode="); strings.SplitN(mode, "\n", 2)[0] {
	case "process", "none":
		return nil
	case "mixed": // SIGTERM is for the main process, which is gone, so the last resort comes at once
		return signal(v.before.Guard, syscall.SIGKILL)
	default:
		return signal(v.before.Guard, syscall.SIGTERM)
	}
}

// gone is what the others see of a machine that loses its power: nothing, from one moment to the next.
func gone(_ context.Context, v *victim) error {
	node := v.network.Nodes[v.node]
	v.network.Lab.Unplug(node)
	err := signal(v.before.All(), syscall.SIGKILL)
	v.network.flush(v.node)
	return err
}

// comeBack is the machine when it has booted.
func comeBack(ctx context.Context, v *victim) error {
	v.network.flush(v.node) // a killed process leaves things behind that a boot does not
	v.network.giveAddresses(v.node)
	v.network.Lab.Plug(v.network.Nodes[v.node])
	return v.system.StartNode(ctx, v.node)
}

// clock lets the holder's clock jump, that of its guard too, and makes sure that the others see it.
func clock(by time.Duration) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		var errs []error
		for _, pid := range v.before.All() {
			c, err := v.network.clockOf(pid)
			if err == nil {
				v.clocks = append(v.clocks, c)
				err = c.Set(by)
			}
			errs = append(errs, err)
		}
		return errors.Join(append(errs, v.system.(*Holdfast).seesClock(ctx, v.node, by))...)
	}
}

func clockRight(_ context.Context, v *victim) error {
	var errs []error
	for _, c := range v.clocks {
		errs = append(errs, c.Set(0))
	}
	return errors.Join(errs...)
}

// endedThenAgain waits for the orderly end of the processes, and starts them again.
func endedThenAgain(ctx context.Context, v *victim) error {
	if h, ok := v.system.(*Holdfast); ok {
		limited, cancel := context.WithTimeout(ctx, 40*time.Second)
		defer cancel()
		if err := h.Ended(limited, v.node); err != nil {
			return err
		}
	}
	return v.system.StartNode(ctx, v.node)
}

// evacuate has an operator do it, who waits until it is done.
func evacuate(ctx context.Context, v *victim) error {
	h := v.system.(*Holdfast)
	v.command = make(chan error, 1)
	go func() {
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := h.Command(limited, v.node, "node", "evacuate", NodeName(v.node), "--reason", "test")
		v.command <- err
	}()
	return nil
}

func comeHome(ctx context.Context, v *victim) error {
	err := <-v.command
	_, undo := v.system.(*Holdfast).Command(ctx, v.node, "node", "evacuate", NodeName(v.node), "--undo")
	return errors.Join(err, undo)
}
