package group

import (
	"fmt"
	"os"
	"strings"
)

// Succeeded notes that the node's process has started another one in its own place, as an upgrade of the program does. Whoever knows its id ends it: it is none of the set's.
func (n *Node) Succeeded(pid int) { n.heir.Store(int64(pid)) }

// heirLives says whether that process runs.
func (n *Node) heirLives() bool {
	pid := n.heir.Load()
	if pid == 0 {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := strings.Cut(string(text), ") ")
	return err == nil && found && !strings.HasPrefix(rest, "Z")
}
