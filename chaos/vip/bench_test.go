//go:build netns

package vip

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/vip/field"
	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// contender is a system of the comparison.
type contender struct {
	name        string
	hurt, after time.Duration
	make        func(testing.TB, context.Context, *field.Network, string) (field.System, error)
}

func contenders() []contender {
	rival := func(aggressive bool) func(testing.TB, context.Context, *field.Network, string) (field.System, error) {
		return func(_ testing.TB, _ context.Context, n *field.Network, dir string) (field.System, error) {
			return field.NewKeepalived(n, dir, aggressive)
		}
	}
	ours := func(timing string) func(testing.TB, context.Context, *field.Network, string) (field.System, error) {
		return func(_ testing.TB, ctx context.Context, n *field.Network, dir string) (field.System, error) {
			binary, err := built.Program()
			if err != nil {
				return nil, err
			}
			return field.NewHoldfast(ctx, n, field.Options{Binary: binary, Dir: dir, Timing: timing})
		}
	}
	return []contender{
		{"keepalived-default", 5 * time.Second, 6 * time.Second, rival(false)},
		{"keepalived-10ms", 1500 * time.Millisecond, 1500 * time.Millisecond, rival(true)},
		{"lan", 1500 * time.Millisecond, time.Second, ours("lan")},
		{"fast", 1200 * time.Millisecond, time.Second, ours("fast")},
		{"wan", 2500 * time.Millisecond, time.Second, ours("wan")},
	}
}

// BenchmarkBesideKeepalived plays the same faults with every system in turn, once in each iteration, each system alone on the network, and prints a table. VIP_SYSTEMS and VIP_FAULTS choose.
func BenchmarkBesideKeepalived(b *testing.B) {
	names := listed("VIP_SYSTEMS", "keepalived-default", "keepalived-10ms", "lan", "fast", "wan")
	faults := listed("VIP_FAULTS", "kill", "machine gone", "link down", "cut at the switch", "freeze", "SIGTERM", "evacuate")
	table := &table{systems: names, faults: faults, results: map[string]map[string][]*field.Result{}}
	network := field.NewNetwork(b)
	for b.Loop() {
		for _, c := range contenders() {
			if slices.Contains(names, c.name) {
				playAll(b, network, c, faults, table)
			}
		}
	}
	b.Log("\n" + table.String())
}

// playAll plays every fault that a system has once, and again when the machine stood still meanwhile, whosever turn it is. One that does not come back to an orderly state is started anew for the next fault; that it did not is in the figures of the heal.
func playAll(b *testing.B, network *field.Network, c contender, faults []string, table *table) {
	b.Helper()
	ctx := b.Context()
	var system field.System
	defer func() {
		if system != nil {
			system.Close()
		}
	}()
	for i, name := range faults {
		fault, err := field.FaultByName(name)
		if err != nil {
			b.Fatal(err)
		}
		for void := 0; ; void++ {
			if system == nil {
				system = begin(b, network, c, 10*i+void)
			}
			if _, ours := system.(*field.Holdfast); fault.Own && !ours {
				break
			}
			result, err := network.Play(ctx, system, fault, field.Round{Hurt: c.hurt, After: c.after, Steady: 20 * time.Second})
			if result == nil {
				b.Fatalf("%v\n%s", err, system.Tails())
			}
			b.Log(result)
			if err != nil {
				b.Log(err)
				system.Close()
				system = nil
			}
			if result.Stall <= quiet || void == voidRounds {
				table.add(c.name, name, result)
				break
			}
			b.Log("void, for the machine was busy with something else")
		}
	}
}

// begin starts a system in a directory of its own.
func begin(b *testing.B, network *field.Network, c contender, number int) field.System {
	b.Helper()
	system, err := c.make(b, b.Context(), network, filepath.Join(b.TempDir(), fmt.Sprint(c.name, number)))
	if err != nil {
		b.Fatal(err)
	}
	limited, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := system.Start(limited); err != nil {
		b.Fatalf("%s: %v\n%s", c.name, err, system.Tails())
	}
	return system
}

// table gathers results and prints them as the documentation has them.
type table struct {
	systems, faults []string
	results         map[string]map[string][]*field.Result // by system, by fault
}

func (t *table) add(system, fault string, r *field.Result) {
	if t.results[system] == nil {
		t.results[system] = map[string][]*field.Result{}
	}
	t.results[system][fault] = append(t.results[system][fault], r)
}

func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| fault | %s |\n|---|%s\n", strings.Join(t.systems, " | "), strings.Repeat("---|", len(t.systems)))
	for _, row := range []struct {
		title string
		cell  func([]*field.Result) string
	}{
		{"outage, ms: median, worst", figures(func(r *field.Result) time.Duration { return r.Hurt.Probe.Outage })},
		{"failed requests: median, worst", counts(func(r *field.Result) int { return r.Hurt.Probe.Failed })},
		{"two hold it, ms: median, worst", figures(func(r *field.Result) time.Duration { return r.Hurt.Both })},
		{"heal: outage, ms: median, worst", figures(func(r *field.Result) time.Duration { return r.Heal.Probe.Outage })},
		{"heal: failed requests: median, worst", counts(func(r *field.Result) int { return r.Heal.Probe.Failed })},
		{"heal: two hold it, ms: median, worst", figures(func(r *field.Result) time.Duration { return r.Heal.Both })},
	} {
		fmt.Fprintf(&b, "| **%s** |%s\n", row.title, strings.Repeat(" |", len(t.systems)))
		for _, fault := range t.faults {
			fmt.Fprintf(&b, "| %s |", fault)
			for _, system := range t.systems {
				fmt.Fprintf(&b, " %s |", row.cell(t.results[system][fault]))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func figures(of func(*field.Result) time.Duration) func([]*field.Result) string {
	return func(results []*field.Result) string {
		return medianAndWorst(results, of, func(d time.Duration) string { return fmt.Sprintf("%.0f", field.Milliseconds(d)) })
	}
}

func counts(of func(*field.Result) int) func([]*field.Result) string {
	return func(results []*field.Result) string {
		return medianAndWorst(results, func(r *field.Result) int64 { return int64(of(r)) }, func(n int64) string { return fmt.Sprint(n) })
	}
}

func medianAndWorst[T interface{ ~int64 }](results []*field.Result, of func(*field.Result) T, print func(T) string) string {
	if len(results) == 0 {
		return "-"
	}
	var values []T
	for _, r := range results {
		values = append(values, of(r))
	}
	worst := slices.MaxFunc(values, cmp.Compare[T])
	return print(measure.Median(values)) + ", " + print(worst)
}
