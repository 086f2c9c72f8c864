package gameday

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killable is a deployment whose node n2 does not answer while a file is there, and runs as another process whenever the file said beside it has grown.
func killable(t *testing.T) (d *deployment, down string) {
	down = filepath.Join(t.TempDir(), "down")
	return &deployment{status: whole(), look: func(d *deployment) {
		_, err := os.Stat(down)
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(down), "said"))
		n := &d.status.Nodes[1]
		n.Reachable, n.Ready, n.Started = err != nil, err != nil, time.Unix(1000+int64(len(text)), 0)
	}}, down
}

func hooks(kill, start string) Hooks {
	h := Hooks{Kill: map[string]string{"n2": kill}}
	if start != "" {
		h.Start = map[string]string{"n2": start}
	}
	return h
}

// TestKillByHook: the command of the node is run, with its name, and the game day goes on when the node is back, by its start command or by itself.
func TestKillByHook(t *testing.T) {
	for name, itself := range map[string]bool{"by its start command": false, "by itself": true} {
		d, down := killable(t)
		said := filepath.Join(filepath.Dir(down), "said")
		o := options(t, d)
		o.Faults, o.Count = []string{Kill}, 3
		kill := fmt.Sprintf("echo $HOLDFAST_NODE >> %s; touch %s", said, down)
		o.Hooks = hooks(kill, "rm "+down)
		if itself {
			o.Hooks = hooks(kill+fmt.Sprintf("; (sleep 0.3; rm %s) > /dev/null 2>&1 &", down), "")
		}
		if err := Play(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, _ := os.ReadFile(said)
		if _, err := os.Stat(down); err == nil || string(text) != "n2\nn2\nn2\n" {
			t.Errorf("%s: killed %q, still down: %v", name, text, err == nil)
		}
		for _, f := range o.Record.Snapshot().Faults {
			if f.Name != Kill || f.Target != "n2" || !f.Healed {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// TestHooksThatGoWrong: the reason is told, and nothing is killed after it.
func TestHooksThatGoWrong(t *testing.T) {
	for name, c := range map[string]struct {
		kill, start string
		want        string
	}{
		"kill fails":      {"echo no such host >&2; exit 255", "", "the kill hook of node n2: exit status 255: no such host"},
		"start fails":     {"touch DOWN", "rm DOWN; exit 3", "the start hook of node n2: exit status 3"},
		"no such command": {"/nonexistent/kill", "", "the kill hook of node n2"},
		"says very much":  {"yes no | head -c 100000; exit 1", "", "..."},
	} {
		d, down := killable(t)
		o := options(t, d)
		o.Faults = []string{Kill}
		o.Hooks = hooks(strings.ReplaceAll(c.kill, "DOWN", down), strings.ReplaceAll(c.start, "DOWN", down))
		err := Play(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 || len(o.Record.Snapshot().Faults) != 1 {
			t.Errorf("%s: %.200v, %d faults", name, err, len(o.Record.Snapshot().Faults))
		}
		// A command that has failed, and a node that goes on: nothing was done.
		if void := o.Record.Snapshot().Faults[0].Void; (void != "") != (name != "start fails") {
			t.Errorf("%s: void %q", name, void)
		}
	}
}

// TestHooksAreNotBelieved: a command that ends well is no proof. The group says whether the process is the one from before.
func TestHooksAreNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		kill, start string
		want        []string
		started     bool // the start command is run
	}{
		"kills nothing":  {"true", "touch STARTED", []string{"the kill hook of node n2 ended well and has not killed it", "by the process that was started at 1970-01-01T"}, false},
		"cuts it off":    {"touch DOWN", "touch STARTED; rm DOWN", []string{"node n2 was not killed: it did not answer for a while, and does so again, by the process that was started at"}, true},
		"starts nothing": {"echo killed >> SAID; touch DOWN", "touch STARTED", []string{"node n2 has not come back: it does not answer"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, down := killable(t)
			began := filepath.Join(filepath.Dir(down), "started")
			named := strings.NewReplacer("DOWN", down, "SAID", filepath.Join(filepath.Dir(down), "said"), "STARTED", began)
			o := options(t, d)
			o.Faults, o.Count = []string{Kill}, 1
			o.Hooks = hooks(named.Replace(c.kill), named.Replace(c.start))
			o.Hooks.settle, o.Hooks.returns = time.Second, 2*time.Second
			err := Play(t.Context(), o)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			if _, there := os.Stat(began); (there == nil) != c.started {
				t.Errorf("the start command was run: %v", there == nil)
			}
			if faults := o.Record.Snapshot().Faults; len(faults) != 1 || faults[0].Healed != (name == "kills nothing") || (faults[0].Void != "") != (name == "kills nothing") {
				t.Errorf("%+v", faults)
			}
		})
	}
}

// TestKillThatIsSlow: the command has ended, the node answers once more, and then nobody does, because no other node is asked. It is killed, and so it is started.
func TestKillThatIsSlow(t *testing.T) {
	d, down := killable(t)
	dir := filepath.Dir(down)
	hit, began := filepath.Join(dir, "hit"), filepath.Join(dir, "said")
	answers, look := 0, d.look
	d.look = func(d *deployment) {
		_, dying := os.Stat(hit)
		if _, err := os.Stat(began); err != nil && dying == nil {
			if answers++; answers > 1 {
				panic(http.ErrAbortHandler)
			}
		}
		look(d)
	}
	o := options(t, d)
	o.Faults, o.Count = []string{Kill}, 1
	o.Hooks = hooks("touch "+hit, "echo started > "+began)
	o.Hooks.settle = 3 * time.Second
	if err := Play(t.Context(), o); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(began); err != nil || answers < 2 {
		t.Errorf("%v, %d answers", err, answers)
	}
}

// TestKillIsBraked: without a word to do it, with a group that is not whole, for a node that the group does not have, and after an interruption nothing is killed.
func TestKillIsBraked(t *testing.T) {
	for name, change := range map[string]func(o *Options, d *deployment){
		"dry run":       func(o *Options, _ *deployment) { o.Execute = false },
		"not whole":     func(_ *Options, d *deployment) { d.status.Nodes[2].Reachable = false },
		"another group": func(o *Options, _ *deployment) { o.Hooks.Kill["m7"] = o.Hooks.Kill["n2"] },
		"no hook":       func(o *Options, _ *deployment) { o.Hooks = Hooks{} },
	} {
		d, down := killable(t)
		o := options(t, d)
		o.Faults, o.Hooks = []string{Kill}, hooks("touch "+down, "")
		change(&o, d)
		err := Play(t.Context(), o)
		if _, there := os.Stat(down); there == nil {
			t.Errorf("%s: killed", name)
		}
		if want := map[string]string{"not whole": "node n3 does not answer", "another group": "hooks for m7"}[name]; want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, _ := killable(t)
	o := options(t, d)
	o.Faults, o.Hooks = []string{Kill}, hooks("sleep 100 & sleep 100", "")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := Play(ctx, o); err == nil || errors.Is(err, ErrBrake) || time.Since(began) > 20*time.Second {
		t.Errorf("interrupted: %v after %v", err, time.Since(began))
	}
}
