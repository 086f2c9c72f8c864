//go:build netns

package kernel

import "testing"

// TestWhatAPredecessorWithOtherAddressesLeft: a node is killed, with its guard process, in the middle of a hand-over, and started with other settings. The
// filters of before would silence the address that it has kept, and send its connections away.
func TestWhatAPredecessorWithOtherAddressesLeft(t *testing.T) {
	for name, before := range map[string][]string{
		"one more address":        {vip4 + "/24@eth0", "10.9.0.101/24@eth0"},
		"one more of IPv6":        both,
		"another prefix's length": {vip4 + "/32@eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			serve(t, l.a)
			killed, err := tryOpen(t, l.a, before...) // never closed, as after SIGKILL
			if err != nil {
				t.Fatal(err)
			}
			in(t, l.a, func() error { return killed.Silence(true) })
			in(t, l.a, func() error { return killed.Relay(hopsOf(t, l.b, before)) })
			in(t, l.a, func() error { return killed.Add(MaxLifetime) })
			group := kernel(t, l.a, "10.9.0.200/24@eth0") // another one on the same machine
			in(t, l.a, func() error { return group.Silence(true) })
			k := kernel(t, l.a, vip4+"/24@eth0")
			for _, ip := range []string{vip4, "10.9.0.101"} {
				if l.a.Has(ip) {
					t.Errorf("%s is there, and nothing silences it", ip)
				}
			}
			take(t, l.a, k)
			if got := ask(t, dial(t, l.client, vip4)); got != "a" {
				t.Errorf("%q answers", got)
			}
			out, err := l.a.Exec("nft", "list", "table", "arp", group.table).CombinedOutput()
			if err != nil {
				t.Errorf("the other group's silence is gone: %s", out)
			}
		})
	}
}

// TestAddressesDoNotWaitForFilters: the kernel may take its time to change nftables; the end of a lease has none.
func TestAddressesDoNotWaitForFilters(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	k.filters.Lock() // as Silence and Relay have it while they wait for the kernel
	in(t, l.a, func() error { return k.Add(lease) })
	in(t, l.a, k.Announce)
	in(t, l.a, k.Remove)
	k.filters.Unlock()
	for _, ip := range vips {
		if l.a.Has(ip) {
			t.Errorf("%s is there", ip)
		}
	}
}
