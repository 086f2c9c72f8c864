package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

const (
	// relayMost is how many connections are known to be relayed, of each family: about 25 MB of the kernel's memory when all are there. When it is full,
	// further connections stay on this machine, whole, until relayed ones have ended or been idle for relayIdle.
	relayMost = 1 << 18
	// relayIdle is how long a relayed connection may be idle and still be known. A hand-over takes less.
	relayIdle = 5 * time.Minute
)

// Relay sends TCP connections to the addresses that begin from now on to another machine on the link, which has the addresses silently and answers the
// clients itself. Those that are there stay here. Another call moves what is not yet relayed, and what is, to the machine that it names; nil ends the relay.
// It works whether this machine has the addresses or not: after Remove it serves clients that have not heard of the new holder.
//
// Packets are sent on before the machine's own firewall and routing see them. Errors wrap vip.ErrNoRelay; then nothing is relayed.
func (k *Kernel) Relay(to []vip.Hop) error {
	k.filters.Lock()
	defer k.filters.Unlock()
	if k.isClosed() {
		return errClosed
	}
	if to == nil {
		if !k.relaying {
			return nil
		}
		return k.dropRelay()
	}
	if k.noNFT != nil {
		return noRelay(k.noNFT)
	}
	legs, err := k.legs(to)
	if err != nil {
		return err
	}
	if err := k.relay(legs); err != nil {
		return errors.Join(noRelay(err), k.dropRelay())
	}
	return nil
}

// leg is where packets for one address go: to a neighbour on an interface.
type leg struct {
	port    string
	index   int
	ip, hop netip.Addr
}

// legs chooses where the packets go, as things are now.
func (k *Kernel) legs(to []vip.Hop) ([]leg, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := list(k.nl)
	if err != nil {
		return nil, err
	}
	for _, p := range k.ports {
		if err := k.find(p); err != nil {
			return nil, fmt.Errorf("%w: %w", vip.ErrNoRelay, err)
		}
		if p.quiet {
			return nil, fmt.Errorf("%w: interface %s has no link-layer addresses", vip.ErrNoRelay, p.name)
		}
	}
	var legs []leg
	for _, a := range k.addrs {
		hop, err := k.route(a, to, all)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", vip.ErrNoRelay, a.Address, err)
		}
		legs = append(legs, leg{port: a.port.name, index: a.port.index, ip: a.IP(), hop: hop})
	}
	return legs, nil
}

func (k *Kernel) dropRelay() error {
	if err := removeTables(k.table, nftables.TableFamilyNetdev); err != nil {
		return fmt.Errorf("end the relay: %w", err)
	}
	k.inForce(&k.relaying, false)
	return nil
}

// relay makes the table and then, at once for all addresses, the rules. A relay that is there keeps its table, and the connections that it knows.
func (k *Kernel) relay(legs []leg) error {
	table := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: k.table}
	chain := func(port string) string { return "in-" + port }
	err := transact(func(c *nftables.Conn) error {
		c.AddTable(table)
		for _, is4 := range []bool{true, false} {
			if !k.any4(is4) {
				continue
			}
			set, err := movedSet(table, is4, k.relayMost)
			if err != nil {
				return err
			}
			if err := c.AddSet(set, nil); err != nil {
				return err
			}
		}
		for _, p := range k.ports {
			c.AddChain(&nftables.Chain{
				Name: chain(p.name), Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress,
				Priority: nftables.ChainPriorityRef(-100), Device: p.name,
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.inForce(&k.relaying, true)
	var chains []string
	var rules []rawRule
	for _, p := range k.ports {
		chains = append(chains, chain(p.name))
	}
	for _, l := range legs {
		more, err := relayRules(chain(l.port), l.ip, l.hop, l.index)
		if err != nil {
			return err
		}
		rules = append(rules, more...)
	}
	return setRules(k.table, chains, rules)
}

func movedName(is4 bool) string {
	if is4 {
		return "moved4"
	}
	return "moved6"
}

// movedSet has the connections that are relayed: client's address and port, virtual address and port.
func movedSet(table *nftables.Table, is4 bool, most uint32) (*nftables.Set, error) {
	ip := nftables.TypeIP6Addr
	if is4 {
		ip = nftables.TypeIPAddr
	}
	key, err := nftables.ConcatSetType(ip, nftables.TypeInetService, ip, nftables.TypeInetService)
	if err != nil {
		return nil, err
	}
	return &nftables.Set{
		Table: table, Name: movedName(is4), KeyType: key, KeyByteOrder: binaryutil.BigEndian,
		Dynamic: true, HasTimeout: true, Timeout: relayIdle, Size: most,
	}, nil
}

// relayRules has two rules for an address. A SYN makes its connection one of the moved; all packets of those are sent on, and keep them known. When the
// set is full its expression does not match: the connection is not among the moved, and stays here.
func relayRules(chain string, ip, hop netip.Addr, index int) ([]rawRule, error) {
	family, ether, length, sourceAt := byte(unix.NFPROTO_IPV4), uint16(unix.ETH_P_IP), uint32(4), uint32(12)
	if ip.Is6() {
		family, ether, length, sourceAt = unix.NFPROTO_IPV6, etherIPv6, 16, ip6SourceAt
	}
	const tcp, flagsAt, finSynRstAck, syn = 6, 13, 0x17, 0x02
	toAddress := slices.Concat(
		metaIs(expr.MetaKeyPROTOCOL, binary.BigEndian.AppendUint16(nil, ether)),
		is(expr.PayloadBaseNetworkHeader, sourceAt+length, ip.AsSlice()),
		metaIs(expr.MetaKeyL4PROTO, []byte{tcp}),
	)
	first := []expr.Any{
		load(expr.PayloadBaseTransportHeader, flagsAt, 1, register),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{finSynRstAck}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{syn}},
	}
	words := length / 4
	key := []expr.Any{
		load(expr.PayloadBaseNetworkHeader, sourceAt, length, register),
		load(expr.PayloadBaseTransportHeader, 0, 2, register+words),
		load(expr.PayloadBaseNetworkHeader, sourceAt+length, length, register+words+1),
		load(expr.PayloadBaseTransportHeader, 2, 2, register+2*words+1),
	}
	name := movedName(ip.Is4())
	known := []expr.Any{&expr.Lookup{SourceRegister: register, SetName: name}}
	keep := []expr.Any{&expr.Dynset{SrcRegKey: register, SetName: name, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Timeout: relayIdle}}
	send := []expr.Any{
		&expr.Immediate{Register: register, Data: binaryutil.NativeEndian.PutUint32(uint32(index))},
		&expr.Immediate{Register: register + 4, Data: hop.AsSlice()},
	}
	last, err := fwd(family, register, register+4)
	if err != nil {
		return nil, err
	}
	return []rawRule{
		{chain, slices.Concat(toAddress, first, key, keep, send), last},
		{chain, slices.Concat(toAddress, key, known, keep, send), last},
	}, nil
}
