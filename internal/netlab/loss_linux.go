package netlab

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Mute has the switch lose everything that the node sends: it hears, and nobody hears it. Hear ends that.
func (l *Lab) Mute(n *NS) {
	l.t.Helper()
	l.lose(n, "mute", nftables.ChainHookIngress)
}

// Deaf has the switch lose everything that is sent to the node: it is heard, and hears nobody. Hear ends that.
func (l *Lab) Deaf(n *NS) {
	l.t.Helper()
	l.lose(n, "deaf", nftables.ChainHookEgress)
}

// Hear ends Mute and Deaf.
func (l *Lab) Hear(n *NS) {
	l.t.Helper()
	c := l.nft()
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyNetdev)
	l.must("list what is lost", err)
	for _, t := range tables {
		if t.Name == n.Name+"-mute" || t.Name == n.Name+"-deaf" {
			c.DelTable(t)
		}
	}
	l.must("hear "+n.Name+" again", c.Flush())
}

func (l *Lab) lose(n *NS, what string, hook *nftables.ChainHook) {
	l.t.Helper()
	c := l.nft()
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: n.Name + "-" + what})
	chain := c.AddChain(&nftables.Chain{
		Name: "lose", Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Device: n.port(),
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	l.must("make "+n.Name+" "+what, c.Flush())
}

// Loss is what the switch does to frames from one node to another.
type Loss struct {
	// Share of the frames are lost, drawn: 1 for all.
	Share float64
	// Rate, when not 0, is how many bytes in a second pass; what is more is lost.
	Rate uint64
}

// register is what the rules compute in.
const register = 1

// Lose has the switch lose frames that one node sends and that would reach another one: those for it, and those for everybody such as ARP. Others get them. The given function ends that.
func (l *Lab) Lose(from, to *NS, what Loss) (end func()) {
	l.t.Helper()
	c := l.nft()
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: fmt.Sprintf("lose-%s-%d", to.Name, losses.Add(1))})
	chain := c.AddChain(&nftables.Chain{
		Name: "lose", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookEgress, Priority: nftables.ChainPriorityFilter, Device: to.port(),
	})
	const sender, macSize = 6, 6 // the place of the sender's address in a frame, and its size
	rule := []expr.Any{
		&expr.Payload{OperationType: expr.PayloadLoad, Base: expr.PayloadBaseLLHeader, Offset: sender, Len: macSize, DestRegister: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: from.MAC()},
	}
	if what.Rate > 0 {
		rule = append(rule, &expr.Limit{Type: expr.LimitTypePktBytes, Rate: what.Rate, Unit: expr.LimitTimeSecond, Over: true, Burst: 64 << 10}) // a frame of the kernel's own may be so large
	} else if what.Share < 1 {
		const of = 10_000
		rule = append(rule,
			&expr.Numgen{Register: register, Modulus: of, Type: unix.NFT_NG_RANDOM},
			&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 4, Size: 4}, // what follows compares bytes
			&expr.Cmp{Op: expr.CmpOpLt, Register: register, Data: binary.BigEndian.AppendUint32(nil, uint32(what.Share*of))},
		)
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(rule, &expr.Verdict{Kind: expr.VerdictDrop})})
	l.must(fmt.Sprintf("lose frames from %s to %s", from.Name, to.Name), c.Flush())
	return func() {
		l.t.Helper()
		c := l.nft()
		c.DelTable(table)
		l.must(fmt.Sprintf("let frames pass from %s to %s", from.Name, to.Name), c.Flush())
	}
}

func (l *Lab) nft() *nftables.Conn {
	l.t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(l.sw.handle)))
	l.must("open nftables", err)
	return c
}
