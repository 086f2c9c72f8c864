package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

// tablePrefix begins the names of all tables of this package.
const tablePrefix = "holdfast-"

// removeStale removes the tables that a predecessor left that was killed: those of the same addresses, and those of other ones with an address of now in
// them, which a node has whose settings were changed meanwhile. Those would silence that address, or send its connections away, for ever. What a silence of
// those kept silent goes first. Others on this machine, who have other addresses, keep theirs. An error says that there is no nftables.
func (k *Kernel) removeStale() error {
	if err := removeTables(k.table, families...); err != nil {
		return err
	}
	for _, family := range families {
		tables, err := staleTables(family)
		if err != nil {
			return err
		}
		for _, name := range tables {
			addrs, err := addressesIn(family, name)
			if err != nil {
				k.logf("nftables table %s %s: %v", familyName(family), name, err)
				continue
			}
			if !k.anyIn(addrs) {
				continue
			}
			if err := k.removeSilenced(addrs); err != nil {
				k.logf("remove what was left of other addresses: %v", err)
			}
			if err := removeTables(name, family); err != nil {
				return err
			}
			k.logf("removed the nftables table %s %s: it was left of a node with other virtual addresses", familyName(family), name)
		}
	}
	return nil
}

func staleTables(family nftables.TableFamily) (names []string, err error) {
	err = transact(func(c *nftables.Conn) error {
		tables, err := c.ListTablesOfFamily(family)
		for _, t := range tables {
			if t.Family == family && strings.HasPrefix(t.Name, tablePrefix) {
				names = append(names, t.Name)
			}
		}
		return err
	})
	return names, err
}

// addressesIn gives whatever the rules of a table compare with that has the length of an address.
func addressesIn(family nftables.TableFamily, table string) (map[netip.Addr]bool, error) {
	found := map[netip.Addr]bool{}
	err := transact(func(c *nftables.Conn) error {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			if chain.Table.Name != table {
				continue
			}
			rules, err := c.GetRules(&nftables.Table{Family: family, Name: table}, chain)
			if err != nil {
				return err
			}
			for _, r := range rules {
				for _, e := range r.Exprs {
					if cmp, ok := e.(*expr.Cmp); ok {
						if ip, ok := netip.AddrFromSlice(cmp.Data); ok {
							found[ip] = true
						}
					}
				}
			}
		}
		return nil
	})
	return found, err
}

func (k *Kernel) anyIn(addrs map[netip.Addr]bool) bool {
	for _, a := range k.addrs {
		if addrs[a.IP()] {
			return true
		}
	}
	return false
}

// removeSilenced takes off the leftovers of other addresses than ours, which nobody on the link may learn of when their silence ends.
func (k *Kernel) removeSilenced(addrs map[netip.Addr]bool) error {
	all, err := list(k.nl)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range all {
		if ip, _ := addrOf(o); addrs[ip] && leftover(o) {
			errs = append(errs, del(k.nl, &netlink.Addr{IPNet: o.IPNet, LinkIndex: o.LinkIndex}))
		}
	}
	return errors.Join(errs...)
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyARP:
		return "arp"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyNetdev:
		return "netdev"
	}
	return fmt.Sprint(f)
}
