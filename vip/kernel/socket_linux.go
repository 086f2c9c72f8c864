package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// listen opens the raw sockets of an interface, one for each family of its addresses, and hears them until ctx ends. They get frames of one Ethernet type
// from one interface, and the kernel drops all but what may be a claim to one of the addresses, so that a busy link costs nothing.
func (k *Kernel) listen(ctx context.Context, p *port) error {
	if p.quiet {
		return nil
	}
	p.raw = map[uint16]*socket.Conn{}
	for _, ether := range []uint16{etherARP, etherIPv6} {
		var addrs []netip.Addr
		for _, a := range k.addrs {
			if a.port == p && a.IP().Is4() == (ether == etherARP) {
				addrs = append(addrs, a.IP())
			}
		}
		if len(addrs) == 0 {
			continue
		}
		// Protocol 0: nothing is heard before the filter is in force.
		c, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "holdfast", nil)
		if err != nil {
			return fmt.Errorf("open a raw socket on %s: %w", p.name, err)
		}
		p.raw[ether] = c
		filter, err := bpf.Assemble(claimFilter(ether, addrs))
		if err != nil {
			return fmt.Errorf("filter of %s: %w", p.name, err)
		}
		if err := c.SetBPF(filter); err != nil {
			return fmt.Errorf("filter of %s: %w", p.name, err)
		}
		if err := p.bind(ether); err != nil {
			return err
		}
		k.readers.Go(func() { k.hear(ctx, p.name, c) })
	}
	return nil
}

// attach binds the sockets to an interface that came back.
func (k *Kernel) attach(p *port) error {
	errs := []error{k.join(p)}
	for ether := range p.raw {
		errs = append(errs, p.bind(ether))
	}
	return errors.Join(errs...)
}

func (p *port) bind(ether uint16) error {
	err := p.raw[ether].Bind(&unix.SockaddrLinklayer{Protocol: networkOrder(ether), Ifindex: p.index})
	if err != nil {
		return fmt.Errorf("hear interface %s: %w", p.name, err)
	}
	return nil
}

// send sends a frame; ENETDOWN and ENXIO are those of an interface that is down or gone.
func (p *port) send(frame []byte) error {
	ether := binary.BigEndian.Uint16(frame[typeOf:])
	c := p.raw[ether]
	if c == nil {
		return fmt.Errorf("no socket for frames of type %#04x on %s", ether, p.name)
	}
	to := &unix.SockaddrLinklayer{Protocol: networkOrder(ether), Ifindex: p.index, Halen: macLen}
	copy(to.Addr[:], frame[:macLen])
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond) // a full queue must not keep the holder's guard from its duties
	defer stop()
	if err := c.Sendto(ctx, frame, 0, to); err != nil {
		return fmt.Errorf("send on %s: %w", p.name, err)
	}
	return nil
}

// hear hands over claims until ctx ends. The kernel tells of an interface that went down or away by an error, once; the socket can be bound again.
func (k *Kernel) hear(ctx context.Context, name string, c *socket.Conn) {
	buf := make([]byte, 2048) // neighbour discovery may use options; a frame that is longer is no claim that anybody sends
	for {
		n, _, err := c.Recvfrom(ctx, buf, 0)
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO):
			continue
		case err != nil:
			k.logf("hear interface %s: %v", name, err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			continue
		}
		if ip, mac, ok := claimed(buf[:n]); ok {
			k.subscribers.tell(claim{name: name, ip: ip, mac: mac.String()})
		}
	}
}

// claimFilter is a program for the kernel that lets pass what may be a claim to one of the addresses, by the address that would be claimed; of IPv6 by its
// last four bytes, in an advertisement's target or a solicitation's source. It lets pass no frame of a VLAN of the interface: that is another link.
func claimFilter(ether uint16, addrs []netip.Addr) []bpf.Instruction {
	const most = 100 // more comparisons cost more than they save, and jumps are short
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	return append(program, claimProgram(ether, addrs, most)...)
}

func claimProgram(ether uint16, addrs []netip.Addr, most int) []bpf.Instruction {
	pass, drop := bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{Val: 0}
	var program []bpf.Instruction
	if ether == etherARP {
		program = append(program, bpf.LoadAbsolute{Off: arpSenderIP, Size: 4})
	} else {
		program = append(program,
			bpf.LoadAbsolute{Off: ip6NextField, Size: 2}, // next header and hop limit
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoICMPv6<<8 | ndHopLimit, SkipTrue: 1},
			drop,
			bpf.LoadAbsolute{Off: icmp6, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ndAdvertise, SkipTrue: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ndSolicit, SkipTrue: 1},
			drop,
			bpf.LoadAbsolute{Off: ip6Source + 12, Size: 4},
			bpf.Jump{Skip: 1},
			bpf.LoadAbsolute{Off: ndTarget + 12, Size: 4},
		)
	}
	if len(addrs) > most {
		return append(program, pass)
	}
	for _, a := range addrs {
		b := a.AsSlice()
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[len(b)-4:]), SkipTrue: 1},
			pass,
		)
	}
	return append(program, drop)
}

// networkOrder is htons: AF_PACKET has its protocol so, in the machine's own type.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
