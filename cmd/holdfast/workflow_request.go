package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// workflowFlags are what upgrade and cycle are told on the command line.
type workflowFlags struct {
	hooks                   []string
	gate                    string
	maxFailed               int
	quiesce                 time.Duration
	inFlight, hook, healthy time.Duration
	force                   bool
}

// add gives a command the flags that both have.
func (w *workflowFlags) add(f *pflag.FlagSet, names string) {
	f.StringArrayVar(&w.hooks, "hook", nil, "`NAME=HOOK,...` with "+names+"; a hook is https://..., http://..., exec:PROGRAM (in the nodes' --hook-dir) or manual")
	f.DurationVar(&w.quiesce, "quiesce-timeout", 0, "serve known sessions for this `TIME` at most, whatever the configuration says; 0s: not at all")
	f.DurationVar(&w.inFlight, "in-flight-timeout", 0, "wait this `TIME` at most for requests in flight (5m)")
	f.DurationVar(&w.hook, "hook-timeout", 0, "one call of a hook takes this `TIME` at most (10m)")
	f.DurationVar(&w.healthy, "healthy-timeout", 0, "wait this `TIME` at most until the instances are healthy (10m)")
	f.BoolVar(&w.force, "force", false, "go on although modules have no server meanwhile")
}

// fill writes the flags into a request.
func (w *workflowFlags) fill(f *pflag.FlagSet, r *client.WorkflowRequest) error {
	hooks, err := parseHooks(w.hooks)
	if err != nil {
		return err
	}
	r.Hooks, r.Force = hooks, w.force
	if f.Changed("quiesce-timeout") {
		r.QuiesceTimeout = config.Duration(w.quiesce).String()
	}
	if w.inFlight != 0 || w.hook != 0 || w.healthy != 0 {
		r.Timeouts = &wire.WorkflowTimeouts{InFlight: orNothing(w.inFlight), Hook: orNothing(w.hook), Healthy: orNothing(w.healthy)}
	}
	return nil
}

func orNothing(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return config.Duration(d).String()
}

// hookStart finds where a hook begins: addresses have commas of their own.
var hookStart = regexp.MustCompile(`(^|,)(stop|upgrade|start)=`)

// parseHooks reads stop=HOOK,upgrade=HOOK,start=HOOK, in one flag or in several.
func parseHooks(flags []string) (h wire.WorkflowHooks, err error) {
	for _, text := range flags {
		at := hookStart.FindAllStringSubmatchIndex(text, -1)
		if len(at) == 0 || at[0][0] != 0 {
			return h, fmt.Errorf("--hook %q: want NAME=HOOK,... with the names stop, upgrade, start", text)
		}
		for i, m := range at {
			end := len(text)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			into := map[string]*string{"stop": &h.Stop, "upgrade": &h.Upgrade, "start": &h.Start}[text[m[4]:m[5]]]
			value := text[m[1]:end]
			if *into != "" || value == "" {
				return h, fmt.Errorf("--hook: %s wants one hook", text[m[4]:m[5]])
			}
			*into = value
		}
	}
	return h, nil
}

// parseGate reads none, manual or soak=TIME.
func parseGate(text string, maxFailed int) (*wire.WorkflowGate, error) {
	kind, duration, timed := strings.Cut(text, "=")
	switch {
	case text == "" && maxFailed == 0:
		return nil, nil
	case kind == "soak" && timed:
		d, err := time.ParseDuration(duration)
		if err != nil {
			return nil, fmt.Errorf("--gate soak=%s: want a time, as in soak=5m", duration)
		}
		return &wire.WorkflowGate{Type: kind, Duration: config.Duration(d).String(), MaxFailed: maxFailed}, nil
	case maxFailed != 0:
		return nil, fmt.Errorf("--max-failed %s belongs to --gate soak=TIME", strconv.Itoa(maxFailed))
	case (kind == "none" || kind == "manual") && !timed:
		return &wire.WorkflowGate{Type: kind}, nil
	}
	return nil, fmt.Errorf("--gate %q: want none, manual or soak=TIME", text)
}
