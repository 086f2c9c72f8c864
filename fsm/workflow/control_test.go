package workflow

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func at(t *testing.T, state string, p Progress) *fsm.Workflow {
	t.Helper()
	s, err := Decode(KindUpgrade, []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	return &fsm.Workflow{ID: "w1", Kind: KindUpgrade, State: state, Spec: s.Encode(), Progress: p.Encode()}
}

func TestWhatAPersonMayAsk(t *testing.T) {
	for name, tc := range map[string]struct {
		w                    *fsm.Workflow
		pause, resume, abort string // the state after it, empty when it is refused
	}{
		"running":            {at(t, Running, Progress{}), Paused, "", Aborting},
		"paused":             {at(t, Paused, Progress{}), Paused, Running, Aborting},
		"waits for a person": {at(t, Waiting, Progress{Wait: waitPerson}), Paused, Running, Aborting},
		"waits for the lock": {at(t, Waiting, Progress{Wait: waitLock}), Paused, "", Aborting},
		"aborting":           {at(t, Aborting, Progress{}), "", "", Aborting},
		"done":               {at(t, Done, Progress{}), "", "", ""},
		"failed":             {at(t, Failed, Progress{}), "", "", ""},
		"aborted":            {at(t, Aborted, Progress{}), "", "", ""},
	} {
		for what, c := range map[string]struct {
			do   func(*fsm.Workflow) (*fsm.Workflow, error)
			want string
		}{"pause": {Pause, tc.pause}, "resume": {Resume, tc.resume}, "abort": {Abort, tc.abort}} {
			got := ""
			if next, err := c.do(tc.w); err == nil {
				got = next.State
			}
			if got != c.want {
				t.Errorf("%s: %s: %q, want %q", name, what, got, c.want)
			}
		}
	}
}

// TestAnOldLeaderKeepsAway: an announcement of a newer term is not touched.
func TestAnOldLeaderKeepsAway(t *testing.T) {
	c := &config.Config{Clusters: []config.Cluster{{Name: "c1", Instances: []config.Instance{{Name: "i1", Enabled: true, Weight: 1}}}}}
	o := &fsm.Operating{Revision: &fsm.Revision{Number: 1, Config: c}, Config: c}
	ids := func(string, string) (fsm.InstanceID, bool) { return 0, false }
	w := at(t, Running, Progress{Step: 1, Term: 3, Begun: true, Attempt: 1})
	d, err := Next(w, World{Now: time.Unix(1, 0), Term: 2, Operating: o, InstanceID: ids})
	if err != nil || d.Action != nil || string(d.Progress.Encode()) != string(w.Progress) {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = Next(w, World{Now: time.Unix(1, 0), Term: 4, Operating: o, InstanceID: ids})
	if err != nil || d.Action == nil || d.Progress.Term != 4 || d.Progress.Attempt != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestUnreadable: what a newer version wrote is left alone.
func TestUnreadable(t *testing.T) {
	for _, w := range []*fsm.Workflow{
		{ID: "w", Kind: "rebalance", State: Running, Spec: []byte(smallest)},
		{ID: "w", Kind: KindUpgrade, State: Running, Spec: []byte(`{"clusters":["c"],"newer":1}`)},
		{ID: "w", Kind: KindUpgrade, State: Running, Spec: []byte(smallest), Progress: []byte(`{"step":-1}`)},
		{ID: "w", Kind: KindUpgrade, State: Running, Spec: []byte(smallest), Progress: []byte(`{`)},
	} {
		if d, err := Next(w, World{}); err == nil {
			t.Errorf("%s: %+v", w.Spec, d)
		}
		if _, ok := CurrentStep(w); ok && len(w.Progress) == 0 {
			t.Errorf("%s has a step", w.Spec)
		}
	}
}

// TestOutcomeOfAnotherAction: an outcome that comes late changes nothing.
func TestOutcomeOfAnotherAction(t *testing.T) {
	w := at(t, Running, Progress{Step: 1, Begun: true, Attempt: 2})
	for name, a := range map[string]*Action{"another attempt": {Step: "1.disable", Attempt: 1}, "another step": {Step: "1.enable", Attempt: 2}, "an abort": {Step: stepAbort, Attempt: 2}} {
		if d, ok := After(w, a, Outcome{}, time.Unix(1, 0)); ok {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if _, ok := After(w, &Action{Step: "1.disable", Attempt: 2}, Outcome{}, time.Unix(1, 0)); !ok {
		t.Error("its own outcome was not taken")
	}
}

// TestNotesStayShort: the group refuses what is longer than 4096 bytes.
func TestNotesStayShort(t *testing.T) {
	for _, most := range []int{1, 2, 3, 300, maxNote} {
		got := clip(strings.Repeat("é", 5000), most)
		if len(got) > most+len("…") || !utf8.ValidString(got) {
			t.Errorf("%d: %d bytes", most, len(got))
		}
	}
	if got := clip("short", 300); got != "short" {
		t.Error(got)
	}
}

// TestUnreadableIsAborted: giving up needs the progress only.
func TestUnreadableIsAborted(t *testing.T) {
	c := &config.Config{Clusters: []config.Cluster{{Name: "c1", Instances: []config.Instance{{Name: "i1"}, {Name: "i2"}}}}}
	o := &fsm.Operating{Revision: &fsm.Revision{Number: 3, Config: c}, Config: c}
	p := Progress{Step: 7, Disabled: []fsm.Subject{{Cluster: "c1", Instance: "i2"}}}
	w := &fsm.Workflow{ID: "w", Kind: "rebalance", State: Running, Spec: []byte(`{"newer":1}`), Progress: p.Encode()}
	w, err := Abort(w)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Next(w, World{Now: time.Unix(1, 0), Term: 1, Operating: o})
	if err != nil || d.Action == nil || d.Action.Change == nil {
		t.Fatalf("%+v, %v", d, err)
	}
	if in := d.Action.Change.Config.Clusters[0].Instances; in[0].Enabled || !in[1].Enabled {
		t.Errorf("%+v: want what the workflow disabled enabled, and no more", in)
	}
	w.Progress = d.Progress.Encode()
	if d, ok := After(w, d.Action, Outcome{}, time.Unix(1, 0)); !ok || d.Progress.Begun {
		t.Errorf("%+v", d)
	}
}
