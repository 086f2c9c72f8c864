package streams

import (
	"fmt"
	"testing"
)

const sources = 60

// TestSourcesStayWhenTheLeaderIsKilled: every client whose stream a node has taken finds its instance again by every node, at once and after the leader has been
// killed in the middle of it; streams by the other nodes do not notice, and new clients are recorded.
func TestSourcesStayWhenTheLeaderIsKilled(t *testing.T) {
	r := newRig(t)
	r.configure(fmt.Sprintf(`
listeners: [{name: agents, address: %q, protocol: tcp, cluster: agents}]
clusters:
  - name: agents
    instances:
      - {name: i1, listeners: ["tcp://%s"]}
      - {name: i2, listeners: ["tcp://%s"]}
      - {name: i3, listeners: ["tcp://%s"]}
`, r.Listener(), instance(t, "i1"), instance(t, "i2"), instance(t, "i3")))
	on := map[string]string{}
	used := map[string]int{}
	open := map[string][]*stream{} // by node
	for i := range sources {
		from, n := fmt.Sprintf("127.1.0.%d", 1+i), r.Nodes[i%len(r.Nodes)]
		s, err := connect(r.ctx, from, n.Traffic)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		on[from], open[n.Name] = s.instance, append(open[n.Name], s)
		used[s.instance]++
	}
	if len(used) != 3 {
		t.Errorf("instances: %v", used)
	}
	leader, err := r.Leader(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	ask := func(when string) (moved int) {
		for i := range sources {
			from := fmt.Sprintf("127.1.0.%d", 1+i)
			for _, n := range r.Nodes {
				if !n.Alive() {
					continue
				}
				s, err := connect(r.ctx, from, n.Traffic)
				if err != nil {
					t.Errorf("%s: %v", when, err)
					continue
				}
				if s.instance != on[from] {
					moved++
				}
				s.Close()
			}
		}
		return moved
	}
	if moved := ask("without a leader"); moved != 0 {
		t.Errorf("%d moved without a leader", moved)
	}
	for name, list := range open {
		for _, s := range list {
			if err := s.echo("still there"); name != leader.Name && err != nil {
				t.Errorf("a stream by node %s: %v", name, err)
			}
		}
	}
	fresh := map[string]string{}
	for i := range 12 {
		from := fmt.Sprintf("127.1.1.%d", 1+i)
		s, err := connect(r.ctx, from, r.Other(leader).Traffic)
		if err != nil {
			t.Fatal(err)
		}
		fresh[from] = s.instance
		s.Close()
	}
	if err := leader.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.poll("all nodes are equal", func() error { _, err := r.Equal(r.ctx); return err })
	if moved := ask("afterwards"); moved != 0 {
		t.Errorf("%d moved afterwards", moved)
	}
	for from, was := range fresh {
		for _, n := range r.Nodes {
			s, err := connect(r.ctx, from, n.Traffic)
			if err != nil || s.instance != was {
				t.Errorf("%s by %s: %v, not %s", from, n.Name, err, was)
				continue
			}
			s.Close()
		}
	}
}
