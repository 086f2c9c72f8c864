package kernel

import (
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestTheFilterLetsClaimsPass, and only those to our addresses: what claimed reads of other frames never reaches this process.
func TestTheFilterLetsClaimsPass(t *testing.T) {
	vm := func(ether uint16, most int, addrs ...netip.Addr) *bpf.VM {
		m, err := bpf.NewVM(claimProgram(ether, addrs, most))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	passes := func(m *bpf.VM, frame []byte) bool {
		n, err := m.Run(frame)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	frames := func(ip netip.Addr) [][]byte {
		all, err := announcements(ip, testMAC)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	other4, other6 := netip.MustParseAddr("10.9.0.101"), netip.MustParseAddr("2001:db8::101")
	arp, nd := vm(etherARP, 100, test4, netip.MustParseAddr("10.9.0.7")), vm(etherIPv6, 100, netip.MustParseAddr("2001:db8::7"), test6)
	for _, f := range frames(test4) {
		if !passes(arp, f) {
			t.Errorf("dropped: %x", f)
		}
	}
	for _, f := range frames(test6) {
		if !passes(nd, f) {
			t.Errorf("dropped: %x", f)
		}
	}
	for _, f := range frames(other4) {
		if passes(arp, f) {
			t.Errorf("passed: %x", f)
		}
	}
	for _, f := range frames(other6) {
		if passes(nd, f) {
			t.Errorf("passed: %x", f)
		}
	}
	question, err := probe(test6, testMAC)
	if err != nil {
		t.Fatal(err)
	}
	if passes(nd, question) { // from nobody
		t.Error("a probe passed")
	}
	for name, spoil := range map[string]func([]byte){
		"another protocol": func(f []byte) { f[ip6NextField] = 6 },
		"routed":           func(f []byte) { f[ip6NextField+1] = 64 },
		"another message":  func(f []byte) { f[icmp6] = 128 },
	} {
		f := frames(test6)[0]
		spoil(f)
		if passes(nd, f) {
			t.Errorf("%s passed", name)
		}
	}
	for _, m := range []*bpf.VM{arp, nd} {
		for n := range 40 {
			if passes(m, make([]byte, n)) {
				t.Errorf("%d zeros passed", n)
			}
		}
	}
	if !passes(vm(etherARP, 0, test4), frames(other4)[0]) {
		t.Error("more addresses than are compared: all must pass")
	}
	if _, err := bpf.Assemble(claimFilter(etherARP, make([]netip.Addr, 0))); err != nil {
		t.Error(err)
	}
}

// TestTheFilterOfManyAddresses: jumps are of one byte, and the kernel takes 4096 instructions.
func TestTheFilterOfManyAddresses(t *testing.T) {
	for _, n := range []int{1, 16, 100, 101, 5000} {
		var addrs []netip.Addr
		for i := range n {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
		}
		program, err := bpf.Assemble(claimFilter(etherARP, addrs))
		if err != nil || len(program) > 4096 {
			t.Errorf("%d addresses: %d instructions, %v", n, len(program), err)
		}
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	a := func(s string) vip.Address {
		addr, err := vip.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	x, y := a("10.0.0.1/24@eth0"), a("10.0.0.1/32@eth1")
	for name, addrs := range map[string][]vip.Address{
		"none": nil, "twice": {x, x}, "once more": {x, y}, "empty": {{}},
		"no interface": {{Prefix: x.Prefix}}, "IPv4 in IPv6": {{Prefix: netip.MustParsePrefix("::ffff:10.0.0.1/120"), Interface: "eth0"}},
	} {
		if err := distinct(addrs); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := distinct([]vip.Address{x, a("10.0.0.2/24@eth0")}); err != nil {
		t.Error(err)
	}
}

// TestTheTablesName depends on the addresses alone, whatever their order.
func TestTheTablesName(t *testing.T) {
	var addrs []vip.Address
	for _, s := range []string{"10.0.0.1/24@eth0", "10.0.0.2/24@eth0", "2001:db8::1/64@eth1"} {
		a, err := vip.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, a)
	}
	name := tableName(addrs)
	if name != tableName([]vip.Address{addrs[2], addrs[0], addrs[1]}) || name == tableName(addrs[:2]) || len(name) > 31 {
		t.Error(name)
	}
}
