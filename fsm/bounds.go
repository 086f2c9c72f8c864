package fsm

import "fmt"

// The bounds of what one command may bring, so that none can let the state grow without limit. The configuration is bounded by the size of its
// entry and by the history (revisions.go).
const (
	maxNameBytes = 256       // names, ids and actors
	maxPathBytes = 1024      // context roots
	maxTextBytes = 4096      // reasons, messages, notes
	maxBlobBytes = 256 << 10 // what a workflow says of itself
	maxListItems = 100_000   // a list inside a command
	maxCount     = 1 << 20   // nodes in a verdict
)

// check finds the first reason to refuse a command; empty means that there is none.
type check struct{ message string }

func (c *check) failf(format string, args ...any) {
	if c.message == "" {
		c.message = fmt.Sprintf(format, args...)
	}
}

// id is a name that must be there.
func (c *check) id(what, s string) {
	if s == "" {
		c.failf("%s is missing", what)
	}
	c.name(what, s)
}

func (c *check) name(what, s string) { c.size(what, len(s), maxNameBytes) }
func (c *check) text(what, s string) { c.size(what, len(s), maxTextBytes) }

func (c *check) size(what string, n, most int) {
	if n > most {
		c.failf("%s has %d bytes, at most %d are kept", what, n, most)
	}
}

func (c *check) list(what string, n int) {
	if n > maxListItems {
		c.failf("%d %s, at most %d fit into one command", n, what, maxListItems)
	}
}

func (c *check) subject(s Subject) {
	c.name("the cluster's name", s.Cluster)
	c.name("the instance's name", s.Instance)
	c.name("the host", s.Host)
	c.size("the context root", len(s.ContextRoot), maxPathBytes)
}

// result refuses the command when there is a reason to.
func (c *check) refused() (Result, bool) {
	return Result{Code: CodeInvalid, Message: c.message}, c.message != ""
}

// clip shortens what came with a configuration, which nobody has checked here, to most bytes of whole characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most]
}
