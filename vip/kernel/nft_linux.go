package kernel

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// nftWait is how long the kernel may take for one transaction. It answers at once, or, when a part of nftables is missing, for the first message only.
const nftWait = 2 * time.Second

// families are those in which this package has a table of the same name.
var families = []nftables.TableFamily{nftables.TableFamilyARP, nftables.TableFamilyIPv6, nftables.TableFamilyNetdev}

// transact has f put together one transaction, and carries it out. Each has a connection of its own, so that one that failed leaves nothing behind for the
// next. That is closed behind the caller's back: closing waits until no processor can still see what was deleted (synchronize_rcu, 8 ms for each table),
// while the rules are without effect as soon as the kernel has answered.
func transact(f func(*nftables.Conn) error) error {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetDeadline(time.Now().Add(nftWait))
	}))
	if err != nil {
		return err
	}
	defer func() { go func() { _ = c.CloseLasting() }() }()
	if err := f(c); err != nil {
		return err
	}
	return c.Flush()
}

// removeTables removes the tables of this name in the families. It is one of the first things that are done: it shows whether there is nftables at all.
func removeTables(name string, of ...nftables.TableFamily) error {
	return transact(func(c *nftables.Conn) error {
		for _, family := range of {
			tables, err := c.ListTablesOfFamily(family)
			if err != nil {
				return err
			}
			for _, t := range tables {
				if t.Name == name && t.Family == family {
					c.DelTable(t)
				}
			}
		}
		return nil
	})
}

// noRelay says that nftables, or a part of it, is missing.
func noRelay(err error) error {
	return fmt.Errorf("%w: nftables: %w (a kernel with CONFIG_NF_TABLES, _ARP, _IPV6, _NETDEV and CONFIG_NFT_FWD_NETDEV can do it)", vip.ErrNoRelay, err)
}

// The expressions of rules. Registers: 8 is the first one of four bytes (NFT_REG32_00).
const register = 8

// is compares length bytes at an offset of the header with what is wanted.
func is(base expr.PayloadBase, offset uint32, want []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: uint32(len(want))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: want},
	}
}

func metaIs(key expr.MetaKey, want []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: want},
	}
}

// load loads bytes of a header into a register and those that follow.
func load(base expr.PayloadBase, offset, length, into uint32) expr.Any {
	return &expr.Payload{DestRegister: into, Base: base, Offset: offset, Len: length}
}

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// ifname is the name of an interface as rules have it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// fwd is the expression `fwd ip to ADDRESS device INTERFACE`, which the nftables package does not have: the packet goes to that neighbour, by that
// interface. The index of the interface is in one register, the address in others (NFTA_FWD_*, include/uapi/linux/netfilter/nf_tables.h).
func fwd(family byte, device, address uint32) ([]byte, error) {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: 1, Data: binaryutil.BigEndian.PutUint32(device)},
		{Type: 2, Data: binaryutil.BigEndian.PutUint32(address)},
		{Type: 3, Data: binaryutil.BigEndian.PutUint32(uint32(family))},
	})
	if err != nil {
		return nil, err
	}
	return netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_EXPR_NAME, Data: []byte("fwd\x00")},
		{Type: unix.NLA_F_NESTED | unix.NFTA_EXPR_DATA, Data: data},
	})
}

// rawRule is a rule that ends with an expression that the nftables package does not have.
type rawRule struct {
	chain string
	exprs []expr.Any
	last  []byte
}

// setRules replaces the rules of chains of a table of the netdev family, all at once or none.
func setRules(table string, chains []string, rules []rawRule) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return err
	}
	defer func() { go func() { _ = c.Close() }() }() // as in transact
	if err := c.SetDeadline(time.Now().Add(nftWait)); err != nil {
		return err
	}
	head := func(family byte, resource uint16) []byte { // struct nfgenmsg
		return append([]byte{family, unix.NFNETLINK_V0}, binaryutil.BigEndian.PutUint16(resource)...)
	}
	edge := func(kind uint16) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
			Data:   head(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	batch := []netlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}
	add := func(kind uint16, flags netlink.HeaderFlags, data []byte) {
		batch = append(batch, netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: netlink.Request | netlink.Acknowledge | flags},
			Data:   append(head(unix.NFPROTO_NETDEV, 0), data...),
		})
	}
	for _, chain := range chains {
		data, err := netlink.MarshalAttributes(inChain(table, chain))
		if err != nil {
			return err
		}
		add(unix.NFT_MSG_DELRULE, 0, data)
	}
	for _, r := range rules {
		data, err := r.marshal(table)
		if err != nil {
			return err
		}
		add(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, data)
	}
	batch = append(batch, edge(unix.NFNL_MSG_BATCH_END))
	if _, err := c.SendMessages(batch); err != nil {
		return err
	}
	for range len(chains) + len(rules) {
		if _, err := c.Receive(); err != nil {
			return fmt.Errorf("set rules: %w", err)
		}
	}
	return nil
}

func (r rawRule) marshal(table string) ([]byte, error) {
	var elements []netlink.Attribute
	for _, e := range r.exprs {
		data, err := expr.Marshal(unix.NFPROTO_NETDEV, e)
		if err != nil {
			return nil, err
		}
		elements = append(elements, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
	}
	elements = append(elements, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: r.last})
	list, err := netlink.MarshalAttributes(elements)
	if err != nil {
		return nil, err
	}
	return netlink.MarshalAttributes(append(inChain(table, r.chain),
		netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_RULE_EXPRESSIONS, Data: list}))
}

func inChain(table, chain string) []netlink.Attribute {
	return []netlink.Attribute{
		{Type: unix.NFTA_RULE_TABLE, Data: []byte(table + "\x00")},
		{Type: unix.NFTA_RULE_CHAIN, Data: []byte(chain + "\x00")},
	}
}
