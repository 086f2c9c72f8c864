package netlab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NS is one network namespace: a machine, as far as the network is concerned.
type NS struct {
	Name string
	Path string // of the namespace, as for `ip netns exec` and setns(2)

	lab    *Lab
	handle netns.NsHandle
	nl     *netlink.Handle
}

// Do runs f with the calling thread in the namespace: sockets that f opens, and processes that it starts, belong to it and stay so. Goroutines that f starts
// do not.
func (n *NS) Do(f func()) {
	n.lab.t.Helper()
	onThread(n.lab.t, n.handle, f)
}

// onThread runs f on a thread that is in the namespace at first, and takes the thread back to where it was. None: f goes there itself.
func onThread(t T, in netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		t.Fatalf("network for the test: %v", err)
	}
	defer func() {
		// A thread that cannot come home stays locked, and ends with its goroutine.
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		_ = home.Close()
	}()
	if in.IsOpen() {
		if err := netns.Set(in); err != nil {
			t.Fatalf("network for the test: enter a namespace: %v", err)
		}
	}
	f()
}

// Exec is a command that runs in the namespace. The caller starts it, by whichever method; its process id is that of the program.
func (n *NS) Exec(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", filepath.Base(n.Path), name}, args...)...)
}

// Start starts a command in the namespace; unlike with Exec the program may be one that has fewer privileges, by SysProcAttr.
func (n *NS) Start(cmd *exec.Cmd) error {
	n.lab.t.Helper()
	var err error
	n.Do(func() { err = cmd.Start() })
	return err
}

// Netlink speaks to the namespace's kernel. It is closed with the test.
func (n *NS) Netlink() *netlink.Handle { return n.nl }

// MAC is the link-layer address of the node's Interface.
func (n *NS) MAC() net.HardwareAddr {
	n.lab.t.Helper()
	return n.link(Interface).Attrs().HardwareAddr
}

// AddAddr gives the node's Interface an address for good, without looking for duplicates.
func (n *NS) AddAddr(cidr string) {
	n.lab.t.Helper()
	n.lab.must("add "+cidr, n.nl.AddrAdd(n.link(Interface), n.addr(cidr)))
}

// DelAddr takes one off.
func (n *NS) DelAddr(cidr string) {
	n.lab.t.Helper()
	n.lab.must("delete "+cidr, n.nl.AddrDel(n.link(Interface), n.addr(cidr)))
}

// Has says whether the kernel has the address, on any interface. It may be called from any goroutine, and often.
func (n *NS) Has(ip string) bool {
	n.lab.t.Helper()
	want := net.ParseIP(ip)
	addrs, err := n.nl.AddrList(nil, netlink.FAMILY_ALL)
	n.lab.must("list addresses of "+n.Name, err)
	for _, a := range addrs {
		if a.IP.Equal(want) {
			return true
		}
	}
	return false
}

// LinkDown sets the node's interface down, as its administrator would.
func (n *NS) LinkDown() {
	n.lab.t.Helper()
	n.lab.must("set down", n.nl.LinkSetDown(n.link(Interface)))
}

// LinkUp sets it up again. IPv6 addresses that were there before are not, and the bridge may need up to a second to see the carrier.
func (n *NS) LinkUp() {
	n.lab.t.Helper()
	n.lab.must("set up", n.nl.LinkSetUp(n.link(Interface)))
}

func (n *NS) addr(cidr string) *netlink.Addr {
	n.lab.t.Helper()
	a, err := netlink.ParseAddr(cidr)
	n.lab.must("read "+cidr, err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func (n *NS) link(name string) netlink.Link {
	n.lab.t.Helper()
	link, err := n.nl.LinkByName(name)
	n.lab.must("find "+name+" of "+n.Name, err)
	return link
}

// port is the name of the switch's end of the node's cable.
func (n *NS) port() string { return "p-" + n.Name }

func (n *NS) remove() {
	killIn(n.Path)
	if n.nl != nil {
		n.nl.Close()
	}
	if n.handle.IsOpen() {
		_ = n.handle.Close()
	}
	if err := netns.DeleteNamed(filepath.Base(n.Path)); err != nil {
		n.lab.t.Errorf("network for the test: remove %s: %v", n.Path, err)
	}
}

// killIn ends the processes in a namespace: they were started there by the test, since nobody else knows of it.
func killIn(path string) {
	var space unix.Stat_t
	if unix.Stat(path, &space) != nil {
		return
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		var in unix.Stat_t
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &in) != nil {
			continue
		}
		if in.Dev == space.Dev && in.Ino == space.Ino {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
