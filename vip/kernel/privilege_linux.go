package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Missing gives the capabilities that this process would need for virtual addresses and does not have: CAP_NET_ADMIN, CAP_NET_RAW, both or none.
func Missing() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 has 64 bits
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // then the kernel's refusals have to do
	}
	var missing []string
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if data[0].Effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}

func privilegeError(missing []string) error {
	program, err := os.Executable()
	if err != nil {
		program = "/usr/local/bin/holdfast"
	}
	return fmt.Errorf("virtual addresses need %s, which this process does not have: run `setcap cap_net_admin,cap_net_raw+ep %s`, or give its systemd unit"+
		" `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`, or have a program move the addresses (--vip-hook)", strings.Join(missing, " and "), program)
}

// mayConfigure asks the kernel itself: in a container, or another user namespace, the capabilities may be there and be worth nothing. An address that nobody
// can have is taken off: "not there" is a yes.
func (k *Kernel) mayConfigure() error {
	nobodys := &held{port: k.ports[0]}
	nobodys.Prefix = nobody
	err := k.nl.AddrDel(nil, nobodys.wire(k.ports[0].index, 0))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("the kernel lets nobody in this container or user namespace change addresses of %s, though the process has CAP_NET_ADMIN:"+
			" give the container the host's network and that capability, or have a program move the addresses (--vip-hook)", k.ports[0].name)
	}
	return nil
}
