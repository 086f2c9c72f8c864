package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// quickstart is what the steps are printed for.
type quickstart struct {
	group, contextRoot, listen string
	instances                  []string
	adminPort                  int
	nodes                      []quickNode
}

type quickNode struct{ name, host, port string }

// peer is the address that the other nodes dial.
func (n quickNode) peer() string { return net.JoinHostPort(n.host, n.port) }

// loopback tells of a node that shares its machine with the others, as on a desk.
func (n quickNode) loopback() bool {
	ip, err := netip.ParseAddr(n.host)
	return err == nil && ip.IsLoopback()
}

var (
	quickName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	quickHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
)

func newQuickstartCommand(g *globals) *cobra.Command {
	q := quickstart{}
	cmd := &cobra.Command{
		Use:   "quickstart NAME=HOST NAME=HOST NAME=HOST...",
		Short: "Print the commands that set up a group",
		Long: `Print the commands that set up a group of three, five or seven nodes on machines with systemd: the secret, each node with its file and its unit, the first
configuration, and how to look whether all is well. It prints and does nothing: each block is for a shell of the machine that it names.

HOST is what the other machines reach it by, an address or a name, with the peer port where that is not 7701: n1=10.0.0.1:4000. Each node has a machine
of its own.`,
		Example: `  holdfast quickstart n1=10.0.0.1 n2=10.0.0.2 n3=10.0.0.3
  holdfast quickstart n1=lb1 n2=lb2 n3=lb3 --group shop --context-root /shop --instance http://10.0.0.11:8080 --instance http://10.0.0.12:8080`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := q.steps(args)
			if err != nil {
				return usageOf(cmd, err)
			}
			_, err = io.WriteString(g.out, text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.group, "group", "holdfast", "`NAME` of the group")
	f.StringVar(&q.contextRoot, "context-root", "/", "`PATH` of the first module")
	f.StringSliceVar(&q.instances, "instance", []string{"http://10.0.0.11:8080", "http://10.0.0.12:8080"}, "`URL` of an instance of it; repeatable")
	f.StringVar(&q.listen, "listen", ":8080", "`ADDRESS` where clients are taken")
	f.IntVar(&q.adminPort, "admin-port", 7700, "`PORT` of the admin API, which answers on the node's own machine alone")
	return cmd
}

// steps gives the whole text, or what is wrong with what was asked for.
func (q *quickstart) steps(args []string) (string, error) {
	if err := q.read(args); err != nil {
		return "", err
	}
	first, err := q.configuration()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# A group of %d nodes. Each block is for a shell of root on the machine that it names; /usr/local/bin/holdfast is on all of them.", len(q.nodes))
	p("")
	p("# --- 1. on any machine: the secret that the first nodes share, good for a day. It is worth the whole group: bring it to each machine by a safe way (scp).")
	p("(umask 077; printf 'HOLDFAST_JOIN_TOKEN=%%s\\n' \"$(holdfast init --group %s)\" > holdfast.env)", q.group)
	for _, n := range q.nodes {
		p("")
		p("# --- 2. on %s (%s), beside holdfast.env:", n.name, n.host)
		p("mkdir -p /etc/holdfast")
		p("install -m 600 holdfast.env /etc/holdfast/env")
		p("cat > /etc/holdfast/node.yaml <<'EOF'\n%sEOF", q.nodeFile(n))
		p("cat > /etc/systemd/system/holdfast.service <<'EOF'\n%sEOF", systemdUnit)
		p("systemctl daemon-reload")
		p("systemctl enable --now holdfast")
	}
	at := q.nodes[0]
	p("")
	p("# --- 3. on %s (any of them will do), when all nodes run: what the group serves. Change it as you like; 'holdfast config plan -f shop.yaml' says what that would do.", at.name)
	p("cat > shop.yaml <<'EOF'\n%sEOF", first)
	p("holdfast config validate shop.yaml")
	p("holdfast config apply -f shop.yaml --wait%s", q.client(at))
	p("")
	p("# --- 4. on each machine, when 'holdfast node list' shows all nodes with a vote: the secret has done its work, and nobody founds the group again.")
	p("rm -f holdfast.env /etc/holdfast/env")
	p("sed -i '/^bootstrap-expect:/d' /etc/holdfast/node.yaml")
	p("")
	p("# --- 5. on %s: is all well?", at.name)
	p("holdfast status%s", q.client(at))
	p("holdfast doctor --config /etc/holdfast/node.yaml%s", q.client(at))
	p("")
	p("# From here on: one address for clients that moves in milliseconds (vip: [10.0.0.100/24@eth0] in each node.yaml, and CAP_NET_ADMIN CAP_NET_RAW in the unit), access tokens for")
	p("# operators elsewhere ('holdfast token create --role operator'), backups (backup-to: /backup in node.yaml), more nodes ('holdfast token create --role node').")
	return b.String(), nil
}

// read takes the nodes and checks everything that goes into a shell or a file.
func (q *quickstart) read(args []string) error {
	q.nodes = nil
	for _, arg := range args {
		name, host, ok := strings.Cut(arg, "=")
		n := quickNode{name: name, host: host, port: "7701"}
		if h, port, err := net.SplitHostPort(host); err == nil {
			n.host, n.port = h, port
			if num, err := strconv.ParseUint(port, 10, 16); err != nil || num == 0 {
				return fmt.Errorf("%q: %q is not a port: write NAME=HOST or NAME=HOST:PORT, as in n1=10.0.0.1", arg, port)
			}
		}
		ip, err := netip.ParseAddr(n.host)
		switch {
		case !ok:
			return fmt.Errorf("%q: want NAME=HOST, as in n1=10.0.0.1", arg)
		case !quickName.MatchString(name):
			return fmt.Errorf("%q: %q is not a node name: 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit", arg, name)
		case err != nil && !quickHost.MatchString(n.host):
			return fmt.Errorf("%q: %q is neither an address nor the name of a host", arg, n.host)
		case err == nil && (ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != ""):
			return fmt.Errorf("%q: %s is no address that other nodes can dial", arg, n.host)
		}
		if slices.ContainsFunc(q.nodes, func(o quickNode) bool { return o.name == name || o.peer() == n.peer() }) {
			return fmt.Errorf("%q: there are two nodes of that name or at that address", arg)
		}
		if at := slices.IndexFunc(q.nodes, func(o quickNode) bool { return o.host == n.host }); at >= 0 {
			return fmt.Errorf("%q: node %s is on %s too, and each block sets up a machine, with one node: docs/OPERATIONS.md has several nodes on one machine", arg, q.nodes[at].name, n.host)
		}
		q.nodes = append(q.nodes, n)
	}
	if n := len(q.nodes); n != 3 && n != 5 && n != 7 {
		return fmt.Errorf("%d nodes: a group has 3, 5 or 7: it goes on while more than half of them do", n)
	}
	if !quickName.MatchString(q.group) {
		return fmt.Errorf("--group %q: the same rules as for the name of a node", q.group)
	}
	if q.adminPort < 1 || q.adminPort > 65535 {
		return fmt.Errorf("--admin-port %d is not a port", q.adminPort)
	}
	return nil
}

// admin is where a node's admin API answers: on its own machine alone, where it asks for no token.
func (q *quickstart) admin(n quickNode) string {
	host := "127.0.0.1"
	if n.loopback() {
		host = n.host // with other nodes on the same machine
	}
	return net.JoinHostPort(host, strconv.Itoa(q.adminPort))
}

// client is the flag by which commands on that node find it, where it is not where they look.
func (q *quickstart) client(n quickNode) string {
	if a := q.admin(n); a != "127.0.0.1:7700" {
		return " --admin http://" + a
	}
	return ""
}

func (q *quickstart) nodeFile(n quickNode) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("name: %s", strconv.Quote(n.name))
	p("data-dir: /var/lib/holdfast")
	if _, err := netip.ParseAddr(n.host); err == nil {
		p("peer-addr: %s", strconv.Quote(n.peer()))
	} else { // a name may stand for another address here than elsewhere
		p("peer-addr: %s", strconv.Quote(":"+n.port))
		p("advertise: %s", strconv.Quote(n.peer()))
	}
	p("admin-addr: %s", strconv.Quote(q.admin(n)))
	if n.loopback() {
		p("bind-address: %s", strconv.Quote(n.host))
	}
	p("bootstrap-expect: %d", len(q.nodes))
	var peers []string
	for _, o := range q.nodes {
		peers = append(peers, strconv.Quote(o.peer()))
	}
	p("join: [%s]", strings.Join(peers, ", "))
	return b.String()
}

// configuration is the first one. It is read as the group would read it.
func (q *quickstart) configuration() (string, error) {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("listeners:")
	p("  - {name: web, address: %s}", strconv.Quote(q.listen))
	p("clusters:")
	p("  - name: cluster1")
	p("    affinity: {type: insert}   # a cookie of ours; or {type: learn, names: [JSESSIONID]}: the application's own")
	p("    modules:")
	p("      - {contextRoot: %s}", strconv.Quote(q.contextRoot))
	p("    instances:")
	for i, url := range q.instances {
		p("      - {name: instance%d, listeners: [%s]}", i+1, strconv.Quote(url))
	}
	if len(q.instances) == 0 {
		return "", fmt.Errorf("--instance is empty: name the URL of at least one, as in http://10.0.0.11:8080")
	}
	if _, err := config.Parse("the first configuration", []byte(b.String())); err != nil {
		return "", err
	}
	return b.String(), nil
}
