package discovery

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestParseSpec (TC-30: the port can be chosen)
func TestParseSpec(t *testing.T) {
	for text, want := range map[string]string{
		"multicast": "239.255.77.1:7702", "multicast=239.255.1.2:45564": "239.255.1.2:45564", "multicast@eth1": "239.255.77.1:7702@eth1",
		"multicast=224.0.0.9:1@lo": "224.0.0.9:1@lo",
	} {
		got, err := ParseSpec(text)
		is := got.Group.String()
		if got.Interface != "" {
			is += "@" + got.Interface
		}
		if err != nil || is != want {
			t.Errorf("%s: %s, %v, want %s", text, is, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "none of multicast", "broadcast": "none of multicast", "multicast:1": "write multicast=", "multicast=": "not GROUPIP:PORT", "multicast=239.1.1.1": "not GROUPIP:PORT",
		"multicast=10.0.0.1:7": "no IPv4 multicast address", "multicast=[ff02::1]:7": "no IPv4 multicast address", "multicast=239.1.1.1:0": "has no port",
		"multicast=239.1.1.1:99999": "not GROUPIP:PORT", "multicast@": "no interface", "multicast=name:7": "not GROUPIP:PORT", "multicasts": "write multicast=",
	} {
		if _, err := ParseSpec(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func hearing(id Identity) *Discovery {
	return newDiscovery(Options{Node: "n1", Addr: "127.0.0.1:1", Identity: func() Identity { return id }, Logger: quiet()})
}

// dropped reads the metric.
func dropped(t *testing.T, d *Discovery, reason string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(d.dropped)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "holdfast_discovery_frames_dropped_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func mustFrame(t testing.TB, f frame) []byte {
	t.Helper()
	b, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFramesOfOthersAreDroppedAndCounted (TC-09, TC-21)
func TestFramesOfOthersAreDroppedAndCounted(t *testing.T) {
	good := frame{Group: "shop", GroupID: "id-1", Node: "n2", Addr: "127.0.0.2:7701"}
	for name, c := range map[string]struct {
		id     Identity
		data   []byte
		reason string
	}{
		"same id":         {Identity{"id-1", "shop"}, mustFrame(t, good), ""},
		"same id renamed": {Identity{"id-1", "other"}, mustFrame(t, good), ""},
		"name only":       {Identity{"", "shop"}, mustFrame(t, good), ""},
		"other id":        {Identity{"id-2", "shop"}, mustFrame(t, good), "group"},
		"other name":      {Identity{"", "bank"}, mustFrame(t, good), "group"},
		"knows nothing":   {Identity{}, mustFrame(t, good), "group"},
		"empty":           {Identity{"id-1", "shop"}, nil, "garbage"},
		"magic only":      {Identity{"id-1", "shop"}, []byte("HFD1"), "garbage"},
		"newer":           {Identity{"id-1", "shop"}, []byte(`HFD2{"group":"shop","node":"n2","addr":"a:1"}`), "garbage"},
		"another program": {Identity{"id-1", "shop"}, []byte("FLT2002\x00\x00\x01"), "garbage"},
		"no group":        {Identity{"id-1", "shop"}, []byte(`HFD1{"node":"n2","addr":"a:1"}`), "garbage"},
		"no address":      {Identity{"id-1", "shop"}, []byte(`HFD1{"group":"shop","groupId":"id-1","node":"n2"}`), "garbage"},
		"no port":         {Identity{"id-1", "shop"}, []byte(`HFD1{"group":"shop","groupId":"id-1","node":"n2","addr":"a"}`), "garbage"},
		"log injection":   {Identity{"id-1", "shop"}, []byte(`HFD1{"group":"shop","groupId":"id-1","node":"n2\nlevel=ERROR","addr":"a:1"}`), "garbage"},
		"too long":        {Identity{"id-1", "shop"}, append(mustFrame(t, good), make([]byte, maxFrame)...), "garbage"},
		"deep":            {Identity{"id-1", "shop"}, []byte("HFD1" + strings.Repeat("[", 500)), "garbage"},
	} {
		t.Run(name, func(t *testing.T) {
			d := hearing(c.id)
			d.take(c.data, time.Now())
			if got := len(d.Peers()) == 1; got != (c.reason == "") {
				t.Errorf("peers %v", d.Peers())
			}
			if c.reason != "" && dropped(t, d, c.reason) != 1 {
				t.Errorf("not counted as %s", c.reason)
			}
		})
	}
	if _, err := (frame{Node: strings.Repeat("n", 600)}).encode(); err == nil {
		t.Error("a frame that is too long is sent")
	}
}

// TestFloodIsBounded: neither many frames nor many addresses cost more than a little, and what is silent is forgotten.
func TestFloodIsBounded(t *testing.T) {
	d := hearing(Identity{"id-1", "shop"})
	now := time.Now().Truncate(time.Second)
	say := func(i int) {
		d.take(mustFrame(t, frame{GroupID: "id-1", Node: fmt.Sprintf("x%d", i), Addr: fmt.Sprintf("127.0.1.1:%d", i+1)}), now)
	}
	for i := range 1000 {
		say(i)
	}
	if n := len(d.peersAt(now)); n != maxPeers {
		t.Errorf("%d addresses kept, want %d", n, maxPeers)
	}
	if rate, full := dropped(t, d, "rate"), dropped(t, d, "full"); rate != 900 || full != 36 {
		t.Errorf("dropped %v by rate and %v as too many, want 900 and 36", rate, full)
	}
	now = now.Add(peerLife + time.Second)
	say(5000)
	if got := d.peersAt(now); !slices.Equal(got, []string{"127.0.1.1:5001"}) {
		t.Errorf("after a silence: %v", got)
	}
}

// TestNodesOfOneMachineFindEachOther over the loopback interface, and only those of their own group. (TC-05, TC-09)
func TestNodesOfOneMachineFindEachOther(t *testing.T) {
	spec, err := ParseSpec(fmt.Sprintf("multicast=239.255.77.9:%d", freeUDPPort(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all []*Discovery
	done := make(chan error, 3)
	for i, group := range []string{"shop", "shop", "bank"} {
		d, err := Open(Options{Spec: spec, Node: fmt.Sprintf("n%d", i+1), Addr: fmt.Sprintf("127.0.0.%d:7701", i+1), Logger: quiet(),
			Identity: func() Identity { return Identity{"id-" + group, group} }})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
		go func() { done <- d.Run(ctx) }()
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !slices.Equal(all[0].Peers(), []string{"127.0.0.2:7701"}) || !slices.Equal(all[1].Peers(), []string{"127.0.0.1:7701"}) ||
		dropped(t, all[0], "group") == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("n1 heard of %v, n2 of %v", all[0].Peers(), all[1].Peers())
		}
	}
	if got := all[2].Peers(); len(got) != 0 {
		t.Errorf("the other group's node heard of %v", got)
	}
	cancel()
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func freeUDPPort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String()).Port()
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`HFD1{"group":"shop","groupId":"id-1","node":"n2","addr":"a:1"}`))
	f.Add([]byte("HFD1"))
	f.Add([]byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decode(b)
		if !ok {
			return
		}
		again, err := got.encode()
		if err != nil {
			return // it had other, longer spellings
		}
		if same, ok := decode(again); !ok || same != got {
			t.Errorf("%q is read as %+v, and that again as %+v", b, got, same)
		}
	})
}
