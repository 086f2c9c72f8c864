package fault

import (
	"context"

	"github.com/holdfast-lb/holdfast/chaos/lan"
	"github.com/holdfast-lb/holdfast/chaos/proxy"
)

// linkFaults happen to the cable of a node's machine: other nodes, instances, clients and neighbours of the virtual address are all behind it.
func linkFaults() []*Fault {
	imposed := func(f *Field, links []link) func() (func() error, error) {
		return func() (func() error, error) {
			lift, err := f.impose(links)
			if err != nil {
				return nil, err
			}
			return func() error { lift(); return nil }, nil
		}
	}
	links := func(which func(Order) []link) func(context.Context, *Field, Order) (Heal, error) {
		return func(_ context.Context, f *Field, o Order) (Heal, error) {
			if _, err := f.node(o); err != nil {
				return nil, err
			}
			return f.offTheNetwork(imposed(f, which(o)))
		}
	}
	return []*Fault{
		{Name: "unplug", Kind: OnNode, Only: Netns, Needs: needsLAN, Rows: []int{16}, Holds: true, About: "the cable of the node's machine is pulled: no carrier, nothing gets in or out", inject: func(_ context.Context, f *Field, o Order) (Heal, error) {
			return f.offTheNetwork(func() (func() error, error) { return f.Stage.LAN().Unplug(o.Target) })
		}},
		{Name: "port-cut", Kind: OnNode, Only: Netns, Needs: needsLAN, Rows: []int{16}, Holds: true, About: "the switch has the node's port off: it keeps its carrier, and nothing gets in or out", inject: func(_ context.Context, f *Field, o Order) (Heal, error) {
			return f.offTheNetwork(func() (func() error, error) { return f.Stage.LAN().Cut(o.Target) })
		}},
		{Name: "sends-nothing", Kind: OnNode, Only: Netns, Needs: needsLAN, Rows: []int{17}, Holds: true, About: "whatever the node's machine sends is lost, to whomever; it hears everything", inject: links(func(o Order) []link {
			return []link{{o.Target, proxy.Any, proxy.Effect{Hold: true}}}
		})},
		{Name: "hears-nothing", Kind: OnNode, Only: Netns, Needs: needsLAN, Rows: []int{17}, Holds: true, About: "whatever is sent to the node's machine is lost; what it sends arrives", inject: links(func(o Order) []link {
			return []link{{proxy.Any, o.Target, proxy.Effect{Hold: true}}}
		})},
		{Name: "lossy-link", Kind: OnNode, Only: Netns, Needs: needsLAN, Rows: []int{20}, Holds: true, Measure: Share, Amounts: []Amount{0.01, 0.05, 0.2}, About: "a share of the frames is lost that the node's machine sends, or that are sent to it", inject: func(_ context.Context, f *Field, o Order) (Heal, error) {
			if _, err := f.node(o); err != nil {
				return nil, err
			}
			e := proxy.Effect{Loss: float64(o.Amount)}
			return f.halfOffTheNetwork(imposed(f, []link{{o.Target, proxy.Any, e}, {proxy.Any, o.Target, e}}))
		}},
	}
}

// needsLAN: a cable there is only where there are machines.
func needsLAN(Place) error { return lan.Missing() }

// offTheNetwork lets something happen to a node's cable so that nobody gets an answer from it. The instances are up: a node that reaches none of them has to find the fault in itself, and moves no session, neither
// meanwhile nor when it is back.
func (f *Field) offTheNetwork(hurt func() (heal func() error, err error)) (Heal, error) {
	doubt := f.Ledger.Doubt()
	heal, err := hurt()
	if err != nil {
		doubt()
		return nil, err
	}
	return func(context.Context) error {
		defer doubt()
		return heal()
	}, nil
}

// halfOffTheNetwork is for a cable by which now one instance is reached and now another. The node may take those for dead that it does not reach, and has a group that agrees.
func (f *Field) halfOffTheNetwork(hurt func() (heal func() error, err error)) (Heal, error) {
	var overs []func()
	for _, in := range f.Stage.Instances {
		overs = append(overs, f.Ledger.Hurt(in.Name))
	}
	over := func() {
		for _, o := range overs {
			o()
		}
	}
	heal, err := f.offTheNetwork(hurt)
	if err != nil {
		over()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer over()
		return heal(ctx)
	}, nil
}
