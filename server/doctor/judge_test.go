package doctor

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/vip"
)

// judged is an examination in which something is judged that this machine need not have.
func judged(t *testing.T, with func(*visit)) *Report {
	t.Helper()
	c := server.Defaults()
	c.Name, c.Version = "n1", "v1"
	v := &visit{Options: Options{Config: c, now: time.Now}, report: Report{Node: "n1"}}
	with(v)
	return &v.report
}

// TestAddressOnThisMachine: a virtual address that this machine has is the holder's, or somebody has left it there.
func TestAddressOnThisMachine(t *testing.T) {
	a, err := vip.ParseAddress("192.0.2.100/24@lo")
	if err != nil {
		t.Fatal(err)
	}
	status := func(holds bool) *wire.Status {
		return &wire.Status{Node: "n1", Nodes: []wire.Node{{Name: "n1", Self: true, Reachable: true, VIP: &wire.VIP{Holds: holds}}}}
	}
	prepared := status(false)
	prepared.Nodes[0].VIP.Prepared = true
	for name, tc := range map[string]struct {
		running bool
		status  *wire.Status
		check   string
		want    State
		words   string
	}{
		"nobody runs":     {false, nil, "conflict", Fault, "no node here holds it"},
		"it holds it":     {true, status(true), "holder", OK, "this node holds it"},
		"another does":    {true, status(false), "conflict", Fault, "two machines could answer for it"},
		"it is prepared":  {true, prepared, "holder", OK, "about to take over"},
		"nobody can tell": {true, nil, "holder", Skipped, "it does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			r := judged(t, func(v *visit) {
				v.report.Running, v.status = tc.running, tc.status
				v.here(a, "lo")
			})
			wantFinding(t, r, "address", tc.check, tc.want, tc.words)
			if tc.want == Fault {
				wantFinding(t, r, "address", tc.check, Fault, "ip addr del 192.0.2.100/24 dev lo")
			}
		})
	}
}

// TestAddressThatNobodyFinds: the interface is there and up, and no place for the address.
func TestAddressThatNobodyFinds(t *testing.T) {
	a, err := vip.ParseAddress("192.0.2.100/24@lo")
	if err != nil {
		t.Fatal(err)
	}
	r := judged(t, func(v *visit) { v.link(a) })
	wantFinding(t, r, "address", "interfaces", Warning, "192.0.2.100/24@lo is to be held on a loopback interface")
}

func TestSlowDisks(t *testing.T) {
	times := func(each, longest time.Duration) []time.Duration {
		return []time.Duration{each, longest, each, each, each}
	}
	for _, tc := range []struct {
		timing        string
		each, longest time.Duration
		want          State
		words         string
	}{
		{"lan", time.Millisecond, 900 * time.Millisecond, OK, "took 1ms each"},
		{"lan", time.Millisecond, time.Second, Fault, "gives up leading after 1s"},
		{"fast", time.Millisecond, 300 * time.Millisecond, Fault, "gives up leading after 250ms"},
		{"wan", time.Millisecond, 1999 * time.Millisecond, OK, ""},
		{"lan", 12 * time.Millisecond, 20 * time.Millisecond, Warning, "new sessions and changes wait"},
		{"nonsense", time.Millisecond, time.Hour, OK, ""}, // said with the settings
	} {
		r := judged(t, func(v *visit) {
			v.Config.Timing = tc.timing
			v.judgeSyncs(times(tc.each, tc.longest))
		})
		wantFinding(t, r, "disk", "sync", tc.want, tc.words)
	}
}

func TestClocksOfOthers(t *testing.T) {
	for skew, want := range map[time.Duration]State{0: OK, -200 * time.Millisecond: OK, 300 * time.Millisecond: Warning, -2 * time.Second: Warning, 3 * time.Second: Fault, -time.Hour: Fault} {
		r := judged(t, func(v *visit) {
			v.peers = []peer{{name: "n2", asked: true, info: raftnode.Info{Name: "n2"}, skew: skew}, {name: "n3", asked: true, err: errors.New("gone")}, {addr: "n4:7701"}}
			v.clock()
		})
		wantFinding(t, r, "clock", "skew", want, "the clock of node n2 is "+skew.String())
		n := 0
		for _, f := range r.Findings {
			if f.Check == "skew" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d clocks were judged", n)
		}
	}
}

// TestWhatOthersSay: by their word this node's disk is of the past, was removed, or its program does not fit.
func TestWhatOthersSay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	startNode(t, dir).stop()
	found, err := raftnode.Inspect(dir)
	if err != nil || found.State == nil || found.ID == "" || len(found.Members) != 1 || found.Members[0].ID != found.ID || found.MembersIndex == 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	own := found.State.Schema()
	info := raftnode.Info{Name: "n2", Version: "v1", Schema: own, GroupSchema: own, Epoch: 1, Members: []string{found.ID, "n2/0a"}, MembersIndex: 1000}
	for name, tc := range map[string]struct {
		change        func(*raftnode.Info)
		area, check   string
		want          State
		words, words2 string
	}{
		"sound":           {func(*raftnode.Info) {}, "net", "peers", OK, "node n2 at n2:7701 answers in", "large packets"},
		"a later epoch":   {func(i *raftnode.Info) { i.Epoch = 2 }, "group", "epoch", Fault, "node n2 is in epoch 2 of the group, this disk in epoch 1", "join token"},
		"removed":         {func(i *raftnode.Info) { i.Members = []string{"n2/0a"} }, "group", "membership", Fault, "this node was removed, or replaced", "join token"},
		"another version": {func(i *raftnode.Info) { i.Version = "v2" }, "group", "version", Warning, "node n2 runs version v2, this program is v1", ""},
		"two schemas on":  {func(i *raftnode.Info) { i.Schema, i.GroupSchema = own+2, own+2 }, "group", "version", Fault, "never lowered", "install"},
		"quarantine":      {func(i *raftnode.Info) { i.Quarantine = &raftnode.Quarantine{Cause: "stuck", Text: "it hangs"} }, "group", "quarantine", Warning, "it hangs", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := info
			tc.change(&i)
			r := judged(t, func(v *visit) {
				v.inspection = found
				v.peers = []peer{{name: "n2", addr: "n2:7701", asked: true, info: i}}
				v.reachable()
			})
			wantFinding(t, r, tc.area, tc.check, tc.want, tc.words, tc.words2)
			if faults := r.Count(Fault); (faults > 0) != (tc.want == Fault) {
				t.Errorf("%d faults:\n%s", faults, dump(r))
			}
		})
	}
	// The node itself answers where the membership has it: this directory is a copy.
	copied := judged(t, func(v *visit) {
		v.inspection = found
		v.peers = []peer{{name: "n1", addr: "n1:7701", id: found.ID, asked: true, info: raftnode.Info{Name: "n1", ID: found.ID}}}
		v.reachable()
	})
	wantFinding(t, copied, "net", "copy", Fault, "node n1 runs at n1:7701: this directory is a copy", "stop it there")
	nobody := judged(t, func(v *visit) {
		v.inspection = found
		v.peers = []peer{{name: "n1", addr: "n1:7701", id: found.ID, asked: true, err: errors.New("refused")}}
		v.reachable()
	})
	if len(nobody.Findings) != 0 {
		t.Error(dump(nobody))
	}
	// What a node says that is behind this one counts for nothing.
	late := info
	late.Members, late.MembersIndex = []string{"n2/0a"}, found.MembersIndex
	r := judged(t, func(v *visit) {
		v.inspection, v.peers = found, []peer{{name: "n2", addr: "n2:7701", asked: true, info: late}}
		v.reachable()
	})
	if r.Count(Fault) > 0 {
		t.Error(dump(r))
	}
	r = judged(t, func(v *visit) {
		v.inspection, v.peers = found, []peer{{name: "n2", addr: "n2:7701", asked: true, err: errors.New("dial tcp: connection refused")}}
		v.reachable()
	})
	wantFinding(t, r, "net", "peers", Fault, "node n2 at n2:7701 does not answer", "start the node there")
}
