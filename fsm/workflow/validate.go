package workflow

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// ExecPrefix begins the hooks that are programs; Manual is the hook that is a person.
const (
	ExecPrefix = "exec:"
	Manual     = "manual"
)

// Validate reports everything that is wrong with the specification at once, each with the name of the field.
func (s *Spec) Validate(kind string) error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	switch kind {
	case KindUpgrade:
		s.validateUpgrade(bad)
	case KindCycle:
		s.validateCycle(bad)
	default:
		bad("kind", "%.40q is neither %s nor %s", kind, KindUpgrade, KindCycle)
	}
	for _, h := range []struct{ field, hook string }{{"hooks.stop", s.Hooks.Stop}, {"hooks.upgrade", s.Hooks.Upgrade}, {"hooks.start", s.Hooks.Start}} {
		if err := checkHook(h.hook); err != nil {
			bad(h.field, "%v", err)
		}
	}
	if s.Hooks == (Hooks{}) {
		bad("hooks", "there is none: name at least one of stop, upgrade and start (manual, when a person does it)")
	}
	s.validateGate(bad)
	s.validateTimes(bad)
	if len(s.Version) > maxName || !printable(s.Version) {
		bad("version", "want at most %d printable characters", maxName)
	}
	if s.MinHealthy < 0 || s.MinHealthy > 1<<20 {
		bad("minHealthy", "%d is no number of instances", s.MinHealthy)
	}
	return errors.Join(errs...)
}

func (s *Spec) validateUpgrade(bad func(field, format string, args ...any)) {
	switch {
	case len(s.Clusters) == 0:
		bad("clusters", "name at least one cluster")
	case len(s.Clusters) > MaxClusters:
		bad("clusters", "%d clusters; at most %d in one workflow", len(s.Clusters), MaxClusters)
		return
	}
	for i, name := range s.Clusters {
		switch {
		case name == "" || len(name) > maxName || !printable(name):
			bad("clusters", "number %d is not the name of a cluster", i+1)
		case slices.Contains(s.Clusters[:i], name):
			bad("clusters", "%s is named twice", name)
		}
	}
	if s.Subject != nil {
		bad("subject", "an upgrade names clusters; an instance or a module is cycled")
	}
}

func (s *Spec) validateCycle(bad func(field, format string, args ...any)) {
	if len(s.Clusters) > 0 {
		bad("clusters", "a cycle has a subject; clusters are upgraded")
	}
	if s.Hooks.Upgrade != "" {
		bad("hooks.upgrade", "a cycle has stop and start only")
	}
	if s.Version != "" || s.SchemaChange || s.MinHealthy != 0 || s.Gate.Type != GateNone {
		bad("subject", "version, schemaChange, minHealthy and gate belong to an upgrade")
	}
	switch t := s.Subject; {
	case t == nil:
		bad("subject", "name the instance or the module to cycle")
	case t.Cluster == "" || len(t.Cluster) > maxName || !printable(t.Cluster):
		bad("subject.cluster", "is not the name of a cluster")
	case (t.Instance == "") == (t.ContextRoot == ""):
		bad("subject", "name either an instance or a module (contextRoot, and host when it has one)")
	case t.Instance != "" && t.Host != "":
		bad("subject.host", "an instance has none")
	case len(t.Instance) > maxName || len(t.Host) > 253 || len(t.ContextRoot) > 1024 || !printable(t.Instance+t.Host+t.ContextRoot):
		bad("subject", "want printable names of the usual length")
	}
}

func (s *Spec) validateGate(bad func(field, format string, args ...any)) {
	switch s.Gate.Type {
	case GateNone, GateManual:
		if s.Gate.Duration != 0 || s.Gate.MaxFailed != 0 {
			bad("gate", "duration and maxFailed belong to a soak")
		}
	case GateSoak:
		if d := time.Duration(s.Gate.Duration); d < time.Second || d > MaxTime {
			bad("gate.duration", "%s: want 1s to %s", s.Gate.Duration, config.Duration(MaxTime))
		}
		if s.Gate.MaxFailed < 0 || s.Gate.MaxFailed > 1<<20 {
			bad("gate.maxFailed", "%d is no number of instances", s.Gate.MaxFailed)
		}
	default:
		bad("gate.type", "%.40q is none of none, manual, soak", s.Gate.Type)
	}
}

func (s *Spec) validateTimes(bad func(field, format string, args ...any)) {
	if q := s.QuiesceTimeout; q != nil && (*q < 0 || time.Duration(*q) > MaxTime) {
		bad("quiesceTimeout", "%s: want 0s to %s", *q, config.Duration(MaxTime))
	}
	for _, t := range []struct {
		field string
		value config.Duration
	}{{"timeouts.inFlight", s.Timeouts.InFlight}, {"timeouts.hook", s.Timeouts.Hook}, {"timeouts.healthy", s.Timeouts.Healthy}} {
		if d := time.Duration(t.value); d < time.Second || d > MaxTime {
			bad(t.field, "%s: want 1s to %s", t.value, config.Duration(MaxTime))
		}
	}
}

// checkHook says what is wrong with a hook. It does not repeat the text of an address, which may hold a secret.
func checkHook(hook string) error {
	name, isExec := strings.CutPrefix(hook, ExecPrefix)
	switch {
	case hook == "" || hook == Manual:
		return nil
	case len(hook) > 2048:
		return errors.New("is longer than 2048 bytes")
	case isExec:
		return checkProgram(name)
	}
	u, err := url.Parse(hook)
	switch {
	case err != nil:
		return errors.New("is not an address")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("want https://…, http://…, exec:NAME or manual")
	case u.Hostname() == "" || u.Opaque != "":
		return errors.New("the address has no host")
	case u.User != nil || u.Fragment != "":
		return errors.New("an address has neither user, password nor fragment here")
	case !printable(hook):
		return errors.New("the address has characters that no address has")
	}
	return nil
}

// checkProgram takes the name of a file and nothing that leads elsewhere.
func checkProgram(name string) error {
	if name == "" || len(name) > maxName || name[0] == '.' || name[0] == '-' {
		return errors.New("exec: want the name of a program in the hook directory; it begins with a letter or a digit")
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return errors.New("exec: a program's name has letters, digits, dots, dashes and underscores only, no path")
		}
	}
	return nil
}

// printable refuses control characters and what steers terminals.
func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfffd {
			return false
		}
	}
	return true
}

// External tells whether a hook reaches beyond the group, to an address or a program. Only administrators may ask for that.
func (s *Spec) External() bool {
	for _, h := range []string{s.Hooks.Stop, s.Hooks.Upgrade, s.Hooks.Start} {
		if h != "" && h != Manual {
			return true
		}
	}
	return false
}
