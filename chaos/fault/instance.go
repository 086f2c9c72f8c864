package fault

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proxy"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

func instanceFaults() []*Fault {
	return []*Fault{
		{Name: "instance-kill", Kind: OnInstance, Rows: []int{31}, Holds: true, About: "SIGKILL; healed by a start, with its sessions forgotten", inject: killInstance},
		{Name: "instance-freeze", Kind: OnInstance, Rows: []int{31}, Holds: true, About: "SIGSTOP: it takes connections and does not answer", inject: freezeInstance},
		{Name: "instance-slow-start", Kind: OnInstance, Only: Loopback, Rows: []int{31}, Holds: true, Measure: Duration, Amounts: []Amount{0.3, 1}, About: "killed and started at once; then every answer takes so much longer",
			inject: slowStart},
		{Name: "instance-slow", Kind: OnInstance, Only: Loopback, Rows: []int{31}, Measure: Duration, Amounts: []Amount{0.05, 0.3}, About: "every answer takes so much longer", inject: onInstance(false, func(o Order) []link {
			return []link{{o.Target, proxy.Any, proxy.Effect{Delay: o.Amount.Time()}}}
		})},
		{Name: "instance-trickle", Kind: OnInstance, Only: Loopback, Rows: []int{31}, Measure: Rate, Amounts: []Amount{2000, 20000}, About: "its answers come at so many bytes in a second", inject: onInstance(false, func(o Order) []link {
			return []link{{o.Target, proxy.Any, proxy.Effect{Rate: int(o.Amount)}}}
		})},
		{Name: "instance-junk", Kind: OnInstance, Only: Loopback, Rows: []int{31}, About: "instead of answers, random bytes come", inject: onInstance(true, func(o Order) []link {
			return []link{{o.Target, proxy.Any, proxy.Effect{Junk: true}}}
		})},
		{Name: "instance-breaks", Kind: OnInstance, Only: Loopback, Rows: []int{31}, Measure: Share, Amounts: []Amount{0.02, 0.2}, About: "at a share of its answers the connection is reset", inject: onInstance(true, func(o Order) []link {
			return []link{{o.Target, proxy.Any, proxy.Effect{Break: float64(o.Amount)}}}
		})},
		{Name: "instance-refuses", Kind: OnInstance, Only: Loopback, Rows: []int{31}, About: "new connections to it end at once", inject: onInstance(true, func(o Order) []link {
			return []link{{proxy.Any, o.Target, proxy.Effect{Refuse: true}}}
		})},
		{Name: "instance-cut", Kind: OnInstance, Rows: []int{19}, About: "one node, drawn, does not reach it; the others do", inject: cutInstance},
	}
}

// startInstance is the heal of what ended an instance.
func startInstance(f *Field, in *stage.Instance, over ...func()) Heal {
	return func(ctx context.Context) error {
		defer func() {
			for _, o := range over {
				o()
			}
		}()
		f.Ledger.Forgets(in.Name)
		if err := f.Stage.StartInstance(in); err != nil {
			return err
		}
		return f.Stage.InstanceReady(ctx, in)
	}
}

// killInstance kills it with what it has sent: an answer that a slow line still holds would be of a session that nobody knows any more.
func (f *Field) killInstance(in *stage.Instance) {
	in.Process.Kill()
	f.Stage.Reset(in.Name, proxy.Any)
}

func killInstance(_ context.Context, f *Field, o Order) (Heal, error) {
	in, err := f.instance(o)
	if err != nil {
		return nil, err
	}
	hurt := f.Ledger.Hurt(in.Name)
	f.killInstance(in)
	return startInstance(f, in, hurt), nil
}

func freezeInstance(_ context.Context, f *Field, o Order) (Heal, error) {
	in, err := f.instance(o)
	if err != nil {
		return nil, err
	}
	hurt := f.Ledger.Hurt(in.Name)
	if err := in.Process.Freeze(); err != nil {
		hurt()
		return nil, err
	}
	return func(context.Context) error {
		defer hurt()
		return in.Process.Thaw()
	}, nil
}

// readyTime bounds the start of an instance.
const readyTime = 10 * time.Second

func slowStart(ctx context.Context, f *Field, o Order) (Heal, error) {
	in, err := f.instance(o)
	if err != nil {
		return nil, err
	}
	hurt := f.Ledger.Hurt(in.Name)
	f.killInstance(in)
	lift, err := f.impose([]link{{o.Target, proxy.Any, proxy.Effect{Delay: o.Amount.Time()}}})
	if err != nil {
		lift = func() {}
	}
	limited, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if again := startInstance(f, in)(limited); err != nil || again != nil {
		lift()
		hurt()
		return nil, errors.Join(err, again)
	}
	return func(context.Context) error { lift(); hurt(); return nil }, nil
}

// onInstance imposes effects between an instance and the nodes. An instance that is only slow must not lose a session.
func onInstance(hurts bool, which func(Order) []link) func(context.Context, *Field, Order) (Heal, error) {
	return func(_ context.Context, f *Field, o Order) (Heal, error) {
		in, err := f.instance(o)
		if err != nil {
			return nil, err
		}
		over := func() {}
		if hurts {
			over = f.Ledger.Hurt(in.Name)
		}
		lift, err := f.impose(which(o))
		if err != nil {
			over()
			return nil, err
		}
		return func(context.Context) error { lift(); over(); return nil }, nil
	}
}

func cutInstance(_ context.Context, f *Field, o Order) (Heal, error) {
	in, err := f.instance(o)
	if err != nil {
		return nil, err
	}
	nodes := f.others("")
	node := nodes[o.Random.IntN(len(nodes))]
	f.Witness.Say(in.Name, node+" does not reach "+in.Name)
	hurt := f.Ledger.Hurt(in.Name)
	doubt := f.Ledger.Doubt()
	lift, err := f.impose(both(node, []string{in.Name}, proxy.Effect{Hold: true}))
	if err != nil {
		hurt()
		doubt()
		return nil, err
	}
	return func(context.Context) error { lift(); hurt(); doubt(); return nil }, nil
}
