package kernel

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/holdfast-lb/holdfast/vip"
)

// Offsets in the headers that the rules look at.
const (
	arpOpAt, arpSenderAt, arpTargetAt = 6, 14, 24
	ip6SourceAt, ip6NextAt            = 8, 6
	ndTypeAt, ndTargetAt              = 0, 8
)

// Silence has nobody on the links learn that this machine has the addresses: questions for them are not answered, nothing is announced, and this machine's
// own questions, which it would ask in the name of a virtual address when it answers a connection to one, are asked in the name of its own. Connections that
// another machine sends on to it (Relay) work. false ends that; with nothing to end it does nothing. On is to be called before Add.
//
// The rules outlive a process that is killed, as the addresses do for their lifetime; Open removes them. Errors wrap vip.ErrNoRelay.
func (k *Kernel) Silence(on bool) error {
	k.filters.Lock()
	defer k.filters.Unlock()
	if k.isClosed() {
		return errClosed
	}
	if !on {
		if !k.silent {
			return nil
		}
		return k.dropSilence()
	}
	if k.noNFT != nil {
		return noRelay(k.noNFT)
	}
	hops, err := k.Hops()
	if err != nil {
		return err
	}
	err = transact(func(c *nftables.Conn) error {
		if k.any4(true) {
			k.silenceARP(c, hops)
		}
		if k.any4(false) {
			k.silenceND(c, hops)
		}
		return nil
	})
	if err != nil {
		return noRelay(err)
	}
	k.inForce(&k.silent, true)
	return nil
}

func (k *Kernel) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// inForce notes what nftables does now. filters is held.
func (k *Kernel) inForce(what *bool, on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*what = on
}

func (k *Kernel) dropSilence() error {
	if err := removeTables(k.table, nftables.TableFamilyARP, nftables.TableFamilyIPv6); err != nil {
		return errors.Join(errors.New("end the silence about the addresses"), err)
	}
	k.inForce(&k.silent, false)
	return nil
}

func (k *Kernel) any4(is4 bool) bool {
	return slices.ContainsFunc(k.addrs, func(a *held) bool { return a.IP().Is4() == is4 })
}

// fresh makes the table of a family anew, with chains for what comes in and goes out.
func (k *Kernel) fresh(c *nftables.Conn, family nftables.TableFamily) (in, out *nftables.Chain) {
	t := &nftables.Table{Family: family, Name: k.table}
	if k.silent {
		c.AddTable(t) // so that there is one to delete, whatever others did
		c.DelTable(t)
	}
	c.AddTable(t)
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
	}
	// In the ARP family the hooks have the numbers 0 and 1 (NF_ARP_IN, NF_ARP_OUT).
	if family == nftables.TableFamilyARP {
		return chain("in", nftables.ChainHookRef(0)), chain("out", nftables.ChainHookRef(1))
	}
	return chain("in", nftables.ChainHookInput), chain("out", nftables.ChainHookOutput)
}

// silenceARP: the rules are for all interfaces, since the kernel answers for an address on each of them.
func (k *Kernel) silenceARP(c *nftables.Conn, hops []vip.Hop) {
	in, out := k.fresh(c, nftables.TableFamilyARP)
	add := func(chain *nftables.Chain, exprs ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: slices.Concat(exprs...)})
	}
	at := func(offset uint32, want []byte) []expr.Any { return is(expr.PayloadBaseNetworkHeader, offset, want) }
	op := func(op uint16) []expr.Any {
		return at(0, binary.BigEndian.AppendUint16(slices.Clone(arpHead), op))
	}
	for _, a := range k.addrs {
		if !a.IP().Is4() {
			continue
		}
		ip := a.IP().AsSlice()
		add(in, op(arpRequest), at(arpTargetAt, ip), drop())
		add(out, op(arpReply), at(arpSenderAt, ip), drop())
		add(out, op(arpRequest), at(arpSenderAt, ip), at(arpTargetAt, ip), drop())
		for _, p := range k.ports {
			if own := firstHop(hops, p.name, true); own.IsValid() {
				add(out, metaIs(expr.MetaKeyOIFNAME, ifname(p.name)), op(arpRequest), at(arpSenderAt, ip),
					rewrite(arpSenderAt, own.AsSlice(), 0))
			}
		}
		// Without an address of its own on the interface the machine asks as RFC 5227 has it for such a machine.
		add(out, op(arpRequest), at(arpSenderAt, ip), rewrite(arpSenderAt, netip.IPv4Unspecified().AsSlice(), 0))
	}
}

// silenceND does for IPv6 what silenceARP does. Advertisements for the address that come in are dropped too: that the holder has it is no news, and the
// kernel would complain about each.
func (k *Kernel) silenceND(c *nftables.Conn, hops []vip.Hop) {
	in, out := k.fresh(c, nftables.TableFamilyIPv6)
	add := func(chain *nftables.Chain, exprs ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: slices.Concat(exprs...)})
	}
	message := func(kind byte) []expr.Any {
		return slices.Concat(metaIs(expr.MetaKeyL4PROTO, []byte{protoICMPv6}), is(expr.PayloadBaseTransportHeader, ndTypeAt, []byte{kind}))
	}
	target := func(ip []byte) []expr.Any { return is(expr.PayloadBaseTransportHeader, ndTargetAt, ip) }
	source := func(ip []byte) []expr.Any { return is(expr.PayloadBaseNetworkHeader, ip6SourceAt, ip) }
	// The checksum of ICMPv6 covers the source. Neighbour discovery has no extension headers in between (RFC 4861 lets nobody add any).
	const checksum = ip6Len + 2
	for _, a := range k.addrs {
		if !a.IP().Is6() {
			continue
		}
		ip := a.IP().AsSlice()
		add(in, message(ndSolicit), target(ip), drop())
		add(in, message(ndAdvertise), target(ip), drop())
		add(out, message(ndAdvertise), target(ip), drop())
		for _, p := range k.ports {
			if own := firstHop(hops, p.name, false); own.IsValid() {
				add(out, metaIs(expr.MetaKeyOIFNAME, ifname(p.name)), message(ndSolicit), source(ip),
					rewrite(ip6SourceAt, own.AsSlice(), checksum))
			}
		}
		add(out, message(ndSolicit), source(ip), drop())
	}
}

// rewrite writes into the network header, and corrects the sum of 16-bit words at an offset of it; 0: there is none.
func rewrite(offset uint32, value []byte, checksum uint32) []expr.Any {
	write := &expr.Payload{
		OperationType: expr.PayloadWrite, SourceRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(value)),
	}
	if checksum > 0 {
		write.CsumType, write.CsumOffset = expr.CsumTypeInet, checksum
	}
	return []expr.Any{&expr.Immediate{Register: register, Data: value}, write}
}

// firstHop is this machine's best own address on an interface.
func firstHop(hops []vip.Hop, name string, is4 bool) netip.Addr {
	for _, h := range hops {
		if h.Interface == name && h.Addr.Is4() == is4 {
			return h.Addr
		}
	}
	return netip.Addr{}
}
