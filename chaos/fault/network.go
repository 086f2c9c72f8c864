package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proxy"
)

func networkFaults() []*Fault {
	return []*Fault{
		{Name: "isolate", Kind: OnNode, Rows: []int{16}, About: "no byte gets from the node to another one, or back", inject: onLinks(func(f *Field, o Order) []link {
			return both(o.Target, f.others(o.Target), proxy.Effect{Hold: true})
		})},
		{Name: "deaf", Kind: OnNode, Rows: []int{17}, About: "the node hears no other node; what it sends arrives", inject: onLinks(func(f *Field, o Order) []link {
			return from(f.others(o.Target), o.Target, proxy.Effect{Hold: true})
		})},
		{Name: "mute", Kind: OnNode, Rows: []int{17}, About: "no other node hears the node; it hears them", inject: onLinks(func(f *Field, o Order) []link {
			return to(o.Target, f.others(o.Target), proxy.Effect{Hold: true})
		})},
		{Name: "bridge", Kind: OnNode, Rows: []int{18}, About: "the two sides of the group reach each other through the node only", inject: onLinks(bridge)},
		{Name: "ring", Kind: OnGroup, Rows: []int{18}, About: "each node reaches its two neighbours only", Needs: needsNodes(4), inject: onLinks(ring)},
		{Name: "halves", Kind: OnGroup, Rows: []int{16}, About: "the group falls into a majority and the rest", inject: onLinks(halves)},
		{Name: "all-apart", Kind: OnGroup, Rows: []int{16, 24}, About: "no node reaches another one: nobody has a majority", inject: onLinks(func(f *Field, _ Order) (links []link) {
			for _, n := range f.others("") {
				links = append(links, from(f.others(n), n, proxy.Effect{Hold: true})...)
			}
			return links
		})},
		{Name: "delay", Kind: OnNode, Only: Loopback, Rows: []int{20}, Measure: Duration, Amounts: []Amount{0.02, 0.05, 0.2, 0.5}, About: "what the node and the others send to each other comes late, by so much and up to as much again",
			inject: onLinks(func(f *Field, o Order) []link {
				return both(o.Target, f.others(o.Target), proxy.Effect{Delay: o.Amount.Time(), Jitter: o.Amount.Time()})
			})},
		{Name: "loss", Kind: OnNode, Rows: []int{20}, Measure: Share, Amounts: []Amount{0.01, 0.05, 0.2, 0.5}, About: "a share of what the node and the others send is lost, and sent again by TCP",
			inject: onLinks(func(f *Field, o Order) []link {
				return both(o.Target, f.others(o.Target), proxy.Effect{Loss: float64(o.Amount)})
			})},
		{Name: "bandwidth", Kind: OnNode, Rows: []int{20, 27}, Measure: Rate, Amounts: []Amount{8 << 10, 32 << 10, 256 << 10}, About: "so many bytes in a second get from the node to each other one, and back",
			inject: onLinks(func(f *Field, o Order) []link {
				return both(o.Target, f.others(o.Target), proxy.Effect{Rate: int(o.Amount)})
			})},
		{Name: "garble", Kind: OnNode, Only: Loopback, Rows: []int{20, 43}, Measure: Share, Amounts: []Amount{0.01, 0.1}, About: "in a share of what the node and the others send, a byte is changed",
			inject: onLinks(func(f *Field, o Order) []link {
				return both(o.Target, f.others(o.Target), proxy.Effect{Garble: float64(o.Amount)})
			})},
		{Name: "resets", Kind: OnNode, Only: Loopback, Rows: []int{21}, Measure: Duration, Amounts: []Amount{0.1, 0.5}, About: "all connections between the node and the others are reset, again and again, so often", inject: resets},
	}
}

func needsNodes(n int) func(Place) error {
	return func(p Place) error {
		if p.Nodes < n {
			return fmt.Errorf("%w: four nodes or more: among three, everybody is everybody's neighbour", ErrLacks)
		}
		return nil
	}
}

// link is an effect on what one party sends another.
type link struct {
	from, to string
	effect   proxy.Effect
}

func from(many []string, one string, e proxy.Effect) (links []link) {
	for _, m := range many {
		links = append(links, link{m, one, e})
	}
	return links
}

func to(one string, many []string, e proxy.Effect) (links []link) {
	for _, m := range many {
		links = append(links, link{one, m, e})
	}
	return links
}

func both(one string, many []string, e proxy.Effect) []link {
	return append(from(many, one, e), to(one, many, e)...)
}

// onLinks imposes effects between nodes until it is healed.
func onLinks(which func(*Field, Order) []link) func(context.Context, *Field, Order) (Heal, error) {
	return func(_ context.Context, f *Field, o Order) (Heal, error) {
		links := which(f, o)
		if len(links) == 0 {
			return nil, errors.New("there is nobody to be cut off from")
		}
		heal, err := f.impose(links)
		if err != nil {
			return nil, err
		}
		doubt := f.Ledger.Doubt()
		return func(context.Context) error { heal(); doubt(); return nil }, nil
	}
}

// impose imposes all effects or none.
func (f *Field) impose(links []link) (lift func(), err error) {
	var lifts []func()
	lift = func() {
		for _, l := range lifts {
			l()
		}
	}
	for _, l := range links {
		one, err := f.Stage.Impose(l.from, l.to, l.effect)
		if err != nil {
			lift()
			return nil, err
		}
		lifts = append(lifts, one)
	}
	return lift, nil
}

// bridge cuts the others into two sides; the node reaches both.
func bridge(f *Field, o Order) (links []link) {
	others := shuffled(f.others(o.Target), o.Random)
	left, right := others[:len(others)/2], others[len(others)/2:]
	for _, n := range left {
		links = append(links, both(n, right, proxy.Effect{Hold: true})...)
	}
	return links
}

func halves(f *Field, o Order) (links []link) {
	nodes := shuffled(f.others(""), o.Random)
	few, most := nodes[:(len(nodes)-1)/2], nodes[(len(nodes)-1)/2:]
	for _, n := range few {
		links = append(links, both(n, most, proxy.Effect{Hold: true})...)
	}
	return links
}

func ring(f *Field, o Order) (links []link) {
	nodes := shuffled(f.others(""), o.Random)
	for i := range nodes {
		for j := range nodes {
			if d := (i - j + len(nodes)) % len(nodes); d > 1 && d < len(nodes)-1 {
				links = append(links, link{nodes[i], nodes[j], proxy.Effect{Hold: true}})
			}
		}
	}
	return links
}

func shuffled(list []string, random *rand.Rand) []string {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func resets(_ context.Context, f *Field, o Order) (Heal, error) {
	if _, err := f.node(o); err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	return background(func(ctx context.Context) error {
		for {
			for _, n := range f.others(o.Target) {
				f.Stage.Reset(o.Target, n)
			}
			if err := pause(ctx, time.Duration(float64(o.Amount.Time())*(0.5+o.Random.Float64()))); err != nil {
				return err
			}
		}
	}, func(context.Context) error { doubt(); return nil }), nil
}
