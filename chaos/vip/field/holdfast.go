package field

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// Options of a group of Holdfast.
type Options struct {
	Binary string // the program
	Dir    string // for data and logs
	Timing string // lan, wan or fast
	// Addresses are the virtual ones, CIDR@INTERFACE; nil: Address4 and Address6.
	Addresses []string
	// Env is added to the nodes' environment.
	Env []string
}

// Holdfast is a group of three nodes.
type Holdfast struct {
	network *Network
	options Options
	secret  string
	set     proc.Set
	nodes   []*holdfastNode
}

type holdfastNode struct {
	name    string
	ns      *netlab.NS
	process *proc.Process
	admin   *client.Client
}

const (
	adminURL = "http://127.0.0.1:7700" // in the node's own namespace, where it stays reachable whatever happens to the link
	peerPort = 7701
	every    = 20 * time.Millisecond // how often a condition is looked at
)

// NewHoldfast prepares a group; nothing runs yet.
func NewHoldfast(ctx context.Context, network *Network, o Options) (*Holdfast, error) {
	if o.Addresses == nil {
		o.Addresses = []string{Address4 + bits4 + "@" + netlab.Interface, Address6 + bits6 + "@" + netlab.Interface}
	}
	h := &Holdfast{network: network, options: o}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.Binary, "init", "--group", "vip")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s init: %w: %s", o.Binary, err, stderr.String())
	}
	h.secret = strings.TrimSpace(stdout.String())
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	for i, ns := range network.Nodes {
		n := &holdfastNode{name: NodeName(i), ns: ns}
		var err error
		n.admin, err = client.New(client.Options{URLs: []string{adminURL}, AttemptTimeout: 5 * time.Second, Transport: transport(ns)})
		if err != nil {
			return nil, err
		}
		h.nodes = append(h.nodes, n)
	}
	return h, nil
}

// transport connects from inside a namespace.
func transport(ns *netlab.NS) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		var d net.Dialer
		ns.Do(func() { c, err = d.DialContext(ctx, network, address) })
		return c, err
	}, DisableKeepAlives: true}
}

// Name is the profile of its timing.
func (h *Holdfast) Name() string { return "holdfast " + h.options.Timing }

// Start starts the nodes and gives them their configuration.
func (h *Holdfast) Start(ctx context.Context) error {
	for i := range h.nodes {
		if err := h.start(i); err != nil {
			return err
		}
	}
	if err := h.each(func(n *holdfastNode) error { return n.ready(ctx) }); err != nil {
		return err
	}
	err := proc.Poll(ctx, 5*every, func() error {
		_, err := h.nodes[0].admin.PutConfig(ctx, client.PutConfig{Data: []byte(configuration()), Format: client.YAML, Message: "chaos", Wait: 20 * time.Second})
		return err
	})
	if err != nil {
		return fmt.Errorf("apply the configuration: %w", err)
	}
	return h.Ready(ctx)
}

// StartNode starts a node and waits until it serves.
func (h *Holdfast) StartNode(ctx context.Context, i int) error {
	if err := h.start(i); err != nil {
		return err
	}
	return h.nodes[i].ready(ctx)
}

func (h *Holdfast) start(i int) error {
	n := h.nodes[i]
	if n.process != nil {
		select {
		case <-n.process.Done():
		case <-time.After(time.Minute):
			return fmt.Errorf("start node %s: it still runs", n.name)
		}
	}
	var peers []string
	for j := range h.nodes {
		peers = append(peers, net.JoinHostPort(nodeIP(j), strconv.Itoa(peerPort)))
	}
	args := []string{
		"serve", "--name", n.name, "--group", "vip", "--data-dir", filepath.Join(h.options.Dir, n.name), "--peer-addr", peers[i], "--admin-addr", "127.0.0.1:7700",
		"--bootstrap-expect", strconv.Itoa(len(h.nodes)), "--join", strings.Join(peers, ","), "--timing", h.options.Timing,
	}
	for _, address := range h.options.Addresses {
		args = append(args, "--vip", address)
	}
	p, err := h.set.Start(in(n.ns, proc.Spec{
		Name: n.name, Path: h.options.Binary, Args: args, Log: filepath.Join(h.options.Dir, n.name+".log"),
		Env: append([]string{"HOLDFAST_JOIN_TOKEN=" + h.secret}, h.options.Env...),
	}))
	n.process = p
	return err
}

// ready waits until the node says so.
func (n *holdfastNode) ready(ctx context.Context) error {
	err := proc.Poll(ctx, every, func() error {
		select {
		case <-n.process.Done():
			return errors.New("its process has ended")
		default:
			return n.admin.Ready(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("node %s is not ready: %w", n.name, err)
	}
	return nil
}

func (h *Holdfast) each(do func(*holdfastNode) error) error {
	errs := make(chan error, len(h.nodes))
	for _, n := range h.nodes {
		go func() { errs <- do(n) }()
	}
	var all []error
	for range h.nodes {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Ready waits until every node knows the leader, is ready, and has all that the others have.
func (h *Holdfast) Ready(ctx context.Context) error {
	return proc.Poll(ctx, every, func() error {
		return h.each(func(n *holdfastNode) error {
			status, err := n.admin.Status(ctx)
			if err != nil {
				return fmt.Errorf("node %s: %w", n.name, err)
			}
			if !status.Quorum || status.Leader == "" || len(status.Nodes) != len(h.nodes) {
				return fmt.Errorf("node %s: quorum %v, leader %q, %d nodes", n.name, status.Quorum, status.Leader, len(status.Nodes))
			}
			for _, other := range status.Nodes {
				if !other.Reachable || !other.Ready || other.Lag > 64 {
					return fmt.Errorf("node %s: node %s: reachable %v, ready %v (%s), behind by %d", n.name, other.Name, other.Reachable, other.Ready, other.Reason, other.Lag)
				}
			}
			return nil
		})
	})
}

// Processes are the node's process and what it has started: its guard.
func (h *Holdfast) Processes(i int) Processes {
	if p := h.nodes[i].process; p != nil && p.Alive() {
		return Processes{Main: []int{p.Pid()}, Guard: children(p.Pid())}
	}
	return Processes{}
}

// Stop sends SIGTERM.
func (h *Holdfast) Stop(i int) error { return signal(h.Processes(i).Main, syscall.SIGTERM) }

// Ended waits until the node's process has ended, and says how: nil for exit status 0.
func (h *Holdfast) Ended(ctx context.Context, i int) error {
	select {
	case <-h.nodes[i].process.Done():
		return h.nodes[i].process.Err()
	case <-ctx.Done():
		return fmt.Errorf("node %s does not end: %w", h.nodes[i].name, ctx.Err())
	}
}

// Command runs the program as an operator on a node's machine would, and gives what it printed.
func (h *Holdfast) Command(ctx context.Context, i int, args ...string) (string, error) {
	cmd := h.nodes[i].ns.Exec(h.options.Binary, append(args, "--admin", adminURL)...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("holdfast %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// seesClock waits until another node says that the clock of a node is off by so much.
func (h *Holdfast) seesClock(ctx context.Context, i int, off time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	asked := h.nodes[(i+1)%len(h.nodes)]
	return proc.Poll(limited, every, func() error {
		status, err := asked.admin.Status(limited, client.Stale())
		if err != nil {
			return err
		}
		for _, n := range status.Nodes {
			if skew := time.Duration(n.ClockSkewMillis) * time.Millisecond; n.Name == NodeName(i) && (skew-off).Abs() > time.Minute {
				return fmt.Errorf("node %s sees the clock of node %s off by %v, not %v", asked.name, n.Name, skew, off)
			}
		}
		return nil
	})
}

// Term is the newest term that any node knows.
func (h *Holdfast) Term(ctx context.Context) (term uint64, err error) {
	for _, n := range h.nodes {
		status, err := n.admin.Status(ctx, client.Stale())
		if err != nil {
			return 0, fmt.Errorf("term at node %s: %w", n.name, err)
		}
		term = max(term, status.Term)
	}
	return term, nil
}

// Events are the texts of what the group remembers, the oldest first.
func (h *Holdfast) Events(ctx context.Context) (texts []string, err error) {
	for after := uint64(0); ; {
		page, err := h.nodes[0].admin.Events(ctx, after, 1000)
		if err != nil || len(page.Events) == 0 {
			return texts, err
		}
		for _, e := range page.Events {
			texts = append(texts, e.Kind+": "+e.Text)
			after = e.Seq
		}
	}
}

// Tails are the last lines of the nodes' logs.
func (h *Holdfast) Tails() string {
	var b strings.Builder
	for _, n := range h.nodes {
		if n.process != nil {
			b.WriteString(n.process.Tail(40, func(line string) bool { return strings.Contains(line, `msg="admin call"`) }) + "\n")
		}
	}
	return b.String()
}

// Close ends the nodes. Guards that stand still go with the network.
func (h *Holdfast) Close() {
	for i := range h.nodes {
		_ = signal(h.Processes(i).Guard, syscall.SIGCONT)
	}
	h.set.Close()
}

// configuration has two ways of affinity: with plain, only the replicated table knows the instance of a session.
func configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q}\nclusters:\n", ":"+port)
	for name, affinity := range map[string]string{"insert": "{type: insert, name: HOLDFAST}", "plain": "{type: learn, names: [JSESSIONID]}"} {
		fmt.Fprintf(&b, "  - name: %s\n    affinity: %s\n    health: {path: /health, interval: 1s, timeout: 5s}\n    modules:\n      - {contextRoot: /%s}\n    instances:\n", name, affinity, name)
		for i := range instances {
			fmt.Fprintf(&b, "      - {name: instance%d, listeners: [\"http://%s\"]}\n", i+1, instanceAddress(i))
		}
	}
	return b.String()
}
