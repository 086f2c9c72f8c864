package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// The kinds of workflows.
const (
	KindUpgrade = "upgrade" // clusters, one after the other
	KindCycle   = "cycle"   // one instance or one module
)

// Limits of a specification.
const (
	MaxSpec     = 64 << 10 // bytes
	MaxClusters = 100
	maxName     = 128
	// MaxTime bounds every time of a specification.
	MaxTime = 7 * 24 * time.Hour
)

// Defaults of a specification.
const (
	DefaultInFlight = 5 * time.Minute
	DefaultHook     = 10 * time.Minute
	DefaultHealthy  = 10 * time.Minute
)

// Spec is what a workflow is to do. It never changes once the workflow exists.
type Spec struct {
	// Clusters are upgraded in this order (upgrade only).
	Clusters []string `json:"clusters,omitempty"`
	// Subject is what is cycled (cycle only): an instance or a module.
	Subject *fsm.Subject `json:"subject,omitempty"`
	Hooks   Hooks        `json:"hooks"`
	Gate    Gate         `json:"gate"`
	// QuiesceTimeout replaces those of the configuration for this work; 0s stops at once.
	QuiesceTimeout *config.Duration `json:"quiesceTimeout,omitempty"`
	// Version is the label that all instances of a cluster get when it is done; empty: they keep theirs.
	Version string `json:"version,omitempty"`
	// SchemaChange declares that old and new version cannot work on the same data, which an upgrade cluster by cluster needs: refused without Force.
	SchemaChange bool `json:"schemaChange,omitempty"`
	// Force goes on where modules have no server meanwhile, and with SchemaChange.
	Force bool `json:"force,omitempty"`
	// MinHealthy is how many instances of a cluster must be healthy after the hooks; 0: all of them.
	MinHealthy int      `json:"minHealthy,omitempty"`
	Timeouts   Timeouts `json:"timeouts"`
}

// Hooks are what is called while a target gets no requests, in the order stop, upgrade, start. Each is empty, or one of
//
//	https://…, http://…  a POST with a JSON body
//	exec:NAME            a program in the leader's hook directory
//	manual               a person does it and resumes the workflow
type Hooks struct {
	Stop    string `json:"stop,omitempty"`
	Upgrade string `json:"upgrade,omitempty"`
	Start   string `json:"start,omitempty"`
}

// The types of gates between two clusters.
const (
	GateNone   = "none"
	GateManual = "manual"
	GateSoak   = "soak"
)

// Gate is what must be passed between a cluster and the next one.
type Gate struct {
	// Type is none (default), manual or soak.
	Type string `json:"type,omitempty"`
	// Duration is how long a soak watches the health of the cluster.
	Duration config.Duration `json:"duration,omitempty"`
	// MaxFailed is how many of its instances may be unavailable at a time meanwhile; one more stops the workflow until a person decides.
	MaxFailed int `json:"maxFailed,omitempty"`
}

// Timeouts bound the steps; when one is over, the workflow waits for a person.
type Timeouts struct {
	// InFlight is how long requests in flight may take to end after the quiesce (5m).
	InFlight config.Duration `json:"inFlight,omitempty"`
	// Hook is how long one call of a hook may take (10m).
	Hook config.Duration `json:"hook,omitempty"`
	// Healthy is how long instances may take to become healthy (10m).
	Healthy config.Duration `json:"healthy,omitempty"`
}

// Decode reads and checks a specification strictly, and fills in its defaults.
func Decode(kind string, raw []byte) (*Spec, error) {
	if len(raw) > MaxSpec {
		return nil, fmt.Errorf("the specification is larger than %d bytes", MaxSpec)
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("the specification is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	s := new(Spec)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("the specification cannot be read: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the specification has something behind its end")
	}
	s.fill()
	return s, s.Validate(kind)
}

// fill writes the defaults.
func (s *Spec) fill() {
	if s.Gate.Type == "" {
		s.Gate.Type = GateNone
	}
	for _, t := range []struct {
		value *config.Duration
		def   time.Duration
	}{{&s.Timeouts.InFlight, DefaultInFlight}, {&s.Timeouts.Hook, DefaultHook}, {&s.Timeouts.Healthy, DefaultHealthy}} {
		if *t.value == 0 {
			*t.value = config.Duration(t.def)
		}
	}
}

// Encode gives the stored form, with the defaults.
func (s *Spec) Encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a workflow's specification cannot be encoded: " + err.Error())
	}
	return b
}
