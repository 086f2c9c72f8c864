package gameday

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// Hooks are commands of the operator's that do what the admin API does not: by the name of a node a command for the shell, which has the name in HOLDFAST_NODE, too.
type Hooks struct {
	// Kill ends the node's process as hard as it can be ended. Without one a node is never killed.
	Kill map[string]string
	// Start starts it again. Where there is none, a service manager is expected to do that.
	Start map[string]string

	settle, returns time.Duration // in the place of goneTime and UndoTime, in tests
}

const (
	// hookTime bounds one hook.
	hookTime = 30 * time.Second
	// goneTime is how long after a kill the group may go on saying that the node runs as before.
	goneTime = 15 * time.Second
	// hookSays is how much of what a hook that failed has printed is told, in bytes.
	hookSays = 500
)

// run runs a command of a node's.
func (h Hooks) run(ctx context.Context, what, node, command string) error {
	limited, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(limited, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "HOLDFAST_NODE="+node)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with all that it has started
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it has ended well; what it left in the background goes on
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("the %s hook of node %s did not end within %v", what, node, hookTime)
	}
	return fmt.Errorf("the %s hook of node %s: %w: %s", what, node, err, clip(strings.TrimSpace(string(out))))
}

func clip(text string) string {
	if len(text) > hookSays {
		return strings.ToValidUTF8(text[:hookSays], "") + "..."
	}
	return text
}

// unknown names nodes that have a hook and that the group does not have: most likely they are spelt wrongly.
func (h Hooks) unknown(s *client.Status) (names []string) {
	for _, hooks := range []map[string]string{h.Kill, h.Start} {
		for name := range hooks {
			if !slices.Contains(names, name) && !slices.ContainsFunc(s.Nodes, func(n client.Node) bool { return n.Name == name }) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// lookAgain is how often it is looked whether a node is gone, or back.
const lookAgain = 200 * time.Millisecond

// kill ends a node's process by its hook, and asks the group whether it has: a command that ends well may have killed nothing, or something else. The undo starts it, and waits until the node is ready, by another
// process than before.
func (g *game) kill(s *client.Status) deed {
	var nodes []string
	for _, n := range s.Nodes {
		if n.Voter && n.Evacuated == nil && g.Hooks.Kill[n.Name] != "" {
			nodes = append(nodes, n.Name)
		}
	}
	if len(nodes) == 0 {
		return deed{what: "no node that votes has a hook to kill it"}
	}
	slices.Sort(nodes)
	node := nodes[g.random.IntN(len(nodes))]
	v := &victim{Hooks: g.Hooks, client: g.Client, node: node, started: startOf(s, node)}
	what := "node " + node + " is killed: " + g.Hooks.Kill[node]
	if node == s.Leader {
		what = "node " + node + ", which leads, is killed: " + g.Hooks.Kill[node]
	}
	// Where the node that is killed was the one that answered, perhaps no other one is asked.
	return deed{what: what, target: node, run: v.kill, undo: v.start, byHand: v.byHand(), none: func(error) bool { return v.alive || v.same }, own: v.own, silent: s.Node == node}
}
