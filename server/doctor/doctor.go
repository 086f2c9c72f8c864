package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage"
)

// State is how a check ended.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, and somebody should look at it
	Fault   State = "fault"   // a node does not start, or does not do what it promises
	Skipped State = "skipped" // it could not be looked at; Text says why
)

// Areas are the parts of an examination, in their order.
var Areas = []string{"settings", "data", "disk", "clock", "net", "address", "group"}

// Finding is what one check found.
type Finding struct {
	Area  string `json:"area"`
	Check string `json:"check"`
	State State  `json:"state"`
	Text  string `json:"text"`
	// Fix says what to do, for a Warning and a Fault.
	Fix string `json:"fix,omitempty"`
}

// Report is an examination.
type Report struct {
	Node    string `json:"node"`
	DataDir string `json:"dataDir"`
	// Running: a process has the data directory open; PID is 0 when it is not known.
	Running  bool      `json:"running"`
	PID      int       `json:"pid,omitempty"`
	Version  string    `json:"version"`
	Findings []Finding `json:"findings"`
}

// Count says how many checks ended in a state.
func (r *Report) Count(s State) (n int) {
	for i := range r.Findings {
		if r.Findings[i].State == s {
			n++
		}
	}
	return n
}

// Options are what an examination is made with.
type Options struct {
	// Config are the settings of the node, as serve would take them. NameGiven: its name was given; otherwise that of the data directory counts.
	Config    server.Config
	NameGiven bool
	// Areas to look at; none: all.
	Areas []string
	// Status asks the node that runs.
	Status func(context.Context) (*wire.Status, error)

	// now stands in for time.Now in tests.
	now func() time.Time
}

// Unknown gives the first of the areas that there is not, empty when all are known.
func Unknown(areas []string) string {
	for _, a := range areas {
		if !slices.Contains(Areas, a) {
			return a
		}
	}
	return ""
}

// visit is one examination under way: what has been found out for later checks.
type visit struct {
	Options
	report Report

	identity   storage.Identity
	named      bool // the directory has an identity
	keys       *pki.Credentials
	inspection *raftnode.Inspection // nil while a node runs, or when it could not be read
	status     *wire.Status         // of the node that runs, if it answers
	statusErr  error
	peers      []peer
}

// Run examines. It ends early, with what it has, when ctx does.
func Run(ctx context.Context, o Options) *Report {
	if o.now == nil {
		o.now = time.Now
	}
	v := &visit{Options: o, report: Report{Node: o.Config.Name, DataDir: o.Config.DataDir, Version: o.Config.Version, Findings: []Finding{}}}
	v.settings()
	v.Config = v.Config.WithPeerPort()
	v.data()
	if v.report.Running && o.Status != nil {
		v.status, v.statusErr = o.Status(ctx)
	}
	if v.looksAt("disk") {
		v.disk(ctx)
	}
	if v.looksAt("clock") || v.looksAt("net") || v.looksAt("address") {
		v.askPeers(ctx)
	}
	v.clock()
	if v.looksAt("net") {
		v.net(ctx)
	}
	if v.looksAt("address") {
		v.address(ctx)
	}
	v.group()
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int { return slices.Index(Areas, a.Area) - slices.Index(Areas, b.Area) })
	return &v.report
}

func (v *visit) looksAt(area string) bool { return len(v.Areas) == 0 || slices.Contains(v.Areas, area) }

// find notes a finding; fix is empty for one that is good.
func (v *visit) find(area, check string, s State, fix, format string, args ...any) {
	if v.looksAt(area) {
		v.report.Findings = append(v.report.Findings, Finding{area, check, s, strings.TrimSpace(fmt.Sprintf(format, args...)), fix})
	}
}

// each gives the errors that were joined.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []error
		for _, e := range many.Unwrap() {
			list = append(list, each(e)...)
		}
		return list
	}
	return []error{err}
}
