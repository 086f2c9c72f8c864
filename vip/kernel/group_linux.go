package kernel

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups keeps this machine in the multicast groups to which questions for the IPv6 addresses go (solicited-node, RFC 4291 2.7.1), from Open on. The kernel
// joins them for an address, but 10 ms after it was added: a question in between would be lost, and its client would ask again a second later. Switches that
// learn who listens to which group have learnt it too.
type groups struct {
	file *os.File // a socket that is for nothing else
}

func openGroups() (*groups, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket for multicast groups: %w", err)
	}
	return &groups{file: os.NewFile(uintptr(fd), "multicast groups")}, nil
}

// join joins the groups of an interface's addresses. It may be called again.
func (k *Kernel) join(p *port) error {
	var errs []error
	for _, a := range k.addrs {
		if a.port != p || !a.IP().Is6() {
			continue
		}
		if k.groups == nil {
			var err error
			if k.groups, err = openGroups(); err != nil {
				return err
			}
		}
		group, err := ndp.SolicitedNodeMulticast(a.IP())
		if err != nil {
			return err
		}
		mreq := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(p.index)}
		// In it already, also by another address with the same last bytes: fine.
		if err := unix.SetsockoptIPv6Mreq(int(k.groups.file.Fd()), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, mreq); err != nil && !errors.Is(err, unix.EADDRINUSE) {
			errs = append(errs, fmt.Errorf("join %s on %s: %w", group, p.name, err))
		}
	}
	return errors.Join(errs...)
}

func (g *groups) close() {
	if g != nil {
		_ = g.file.Close()
	}
}
