package field

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Keepalived is what Holdfast is compared with: keepalived moves the address, HAProxy serves.
type Keepalived struct {
	network *Network
	dir     string
	fast    bool
	set     proc.Set
	nodes   [nodes][]*proc.Process
}

// NewKeepalived prepares it, in its default settings (VRRP version 2, an advertisement every second, the first node preferred) or in the most aggressive ones
// that it has (version 3, one every 10 ms, and no return to a preferred node).
func NewKeepalived(network *Network, dir string, aggressive bool) (*Keepalived, error) {
	for _, program := range []string{"keepalived", "haproxy"} {
		if _, err := lookPath(program); err != nil {
			return nil, fmt.Errorf("%s is needed for the comparison: apt-get install keepalived haproxy", program)
		}
	}
	return &Keepalived{network: network, dir: dir, fast: aggressive}, os.MkdirAll(dir, 0o755)
}

// Name says which settings it has.
func (k *Keepalived) Name() string {
	if k.fast {
		return "keepalived 10 ms"
	}
	return "keepalived default"
}

// Start starts the nodes.
func (k *Keepalived) Start(ctx context.Context) error {
	for i := range nodes {
		if err := k.StartNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// StartNode starts a node's two processes.
func (k *Keepalived) StartNode(_ context.Context, i int) error {
	for _, p := range k.nodes[i] {
		<-p.Done()
	}
	base := filepath.Join(k.dir, NodeName(i))
	for _, left := range []string{base + ".pid", base + ".vrrp.pid"} {
		_ = os.Remove(left) // of one that was killed: another process may have its id by now
	}
	files := map[string]string{base + ".keepalived": k.keepalived(i), base + ".haproxy": haproxy()}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	k.nodes[i] = nil
	for _, s := range []proc.Spec{
		{Name: NodeName(i) + "-haproxy", Path: "haproxy", Args: []string{"-db", "-f", base + ".haproxy"}},
		{Name: NodeName(i) + "-keepalived", Path: "keepalived", Args: []string{"-n", "-l", "-P", "-f", base + ".keepalived", "-p", base + ".pid", "-r", base + ".vrrp.pid"}},
	} {
		s.Log = filepath.Join(k.dir, s.Name+".log")
		p, err := k.set.Start(in(k.network.Nodes[i], s))
		if err != nil {
			return err
		}
		k.nodes[i] = append(k.nodes[i], p)
	}
	return nil
}

func (k *Keepalived) keepalived(i int) string {
	global, advert, state, preempt := "", "1", "BACKUP", ""
	if i == 0 {
		state = "MASTER"
	}
	if k.fast {
		global, advert, state, preempt = "vrrp_version 3", "0.01", "BACKUP", "nopreempt"
	}
	return fmt.Sprintf(`global_defs {
  router_id %s
  %s
}
vrrp_instance V {
  state %s
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int %s
  %s
  virtual_ipaddress {
    %s%s
  }
}
`, NodeName(i), global, state, 200-50*i, advert, preempt, Address4, bits4)
}

func haproxy() string {
	var b strings.Builder
	b.WriteString("defaults\n  mode http\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\nfrontend f\n  bind *:" + port + "\n  default_backend b\nbackend b\n")
	for i := range instances {
		fmt.Fprintf(&b, "  server instance%d %s\n", i+1, instanceAddress(i))
	}
	return b.String()
}

// Ready is at once: what is waited for is the address.
func (k *Keepalived) Ready(context.Context) error { return nil }

// Processes are all of the node; nothing guards the address.
func (k *Keepalived) Processes(i int) (p Processes) {
	for _, process := range k.nodes[i] {
		if process.Alive() {
			p.Main = append(append(p.Main, process.Pid()), children(process.Pid())...)
		}
	}
	return p
}

// Stop sends SIGTERM to both: keepalived says good-bye by itself.
func (k *Keepalived) Stop(i int) error { return signal(k.Processes(i).Main, syscall.SIGTERM) }

// Tails are the last lines of what the processes said.
func (k *Keepalived) Tails() string {
	var b strings.Builder
	for _, node := range k.nodes {
		for _, p := range node {
			b.WriteString(p.Tail(10, nil) + "\n")
		}
	}
	return b.String()
}

// Close ends all, and takes away the addresses that stay behind.
func (k *Keepalived) Close() {
	for i := range nodes {
		_ = signal(k.Processes(i).Main, syscall.SIGKILL)
	}
	k.set.Close()
	for i := range nodes {
		k.network.drop(i, Address4)
	}
}

var errNotFound = errors.New("not found")

// lookPath finds a program also where only root looks.
func lookPath(name string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errNotFound
}
