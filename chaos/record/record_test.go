package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAFaultAnswersForItsOutage: of the times without an answer, a fault has the longest that overlaps it and its aftermath.
func TestAFaultAnswersForItsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Run{Scenario: "s"})
		answers := func(d time.Duration) {
			for end := r.Now() + d; r.Now() < end; {
				due := time.Now()
				time.Sleep(10 * time.Millisecond)
				r.Request(due, time.Now(), true, 0)
			}
		}
		quiet := func(d time.Duration, good bool) {
			due := time.Now()
			time.Sleep(d)
			r.Request(due, time.Now(), good, 1)
		}
		time.Sleep(3 * time.Second) // before the load begins nobody waits
		r.Leader("n1")
		answers(time.Second)
		quiet(800*time.Millisecond, true) // before any fault: it is the run's alone
		answers(time.Second)
		one := r.Begin("kill", "n1", "")
		quiet(500*time.Millisecond, true)
		two := r.Begin("cut", "n2", "both ways")
		r.Leader("")
		quiet(200*time.Millisecond, false)
		quiet(50*time.Millisecond, true)
		r.Leader("n2")
		r.Heal(one, nil)
		r.Heal(one, nil) // again: nothing
		answers(time.Second)
		quiet(700*time.Millisecond, true) // the aftermath of one
		answers(10 * time.Second)
		r.Heal(two, errors.New("no such process"))
		r.Idle()
		time.Sleep(time.Minute) // the load stands still
		quiet(20*time.Millisecond, true)
		r.Check(Result{Name: "c", When: Always, OK: true})
		run := r.Finish(nil)

		want := []Fault{
			{Name: "kill", Target: "n1", Outage: 700 * time.Millisecond, Slowest: 700 * time.Millisecond, Failed: 1, Refused: 4, Healed: true},
			{Name: "cut", Target: "n2", Outage: 700 * time.Millisecond, Slowest: 700 * time.Millisecond, Failed: 1, Refused: 3, Text: "not healed: no such process"},
		}
		for i, f := range run.Faults {
			if f.To <= f.From {
				t.Errorf("fault %d lasts from %v to %v", i, f.From, f.To)
			}
			f.From, f.To = 0, 0
			if f != want[i] {
				t.Errorf("fault %d is\n%+v, want\n%+v", i, f, want[i])
			}
		}
		all, failed, refused := run.Requests()
		if failed != 1 || refused != 6 || all < 1300 || all > 1400 {
			t.Errorf("%d of %d failed", failed, all)
		}
		if worst, _ := run.Worst(); run.Outage != 800*time.Millisecond || worst != run.Outage {
			t.Errorf("the longest outage of the run is %v, %v", run.Outage, worst)
		}
		if len(run.Series) != int(run.Took/time.Second)+1 {
			t.Errorf("%d seconds in %v", len(run.Series), run.Took)
		}
		if s := run.Series[4]; s.Requests < 20 || s.P50 != 10 || s.Max != 800 || s.Leader != "n1" {
			t.Errorf("second 4 is %+v", s)
		}
		if s := run.Series[6]; !s.Leaderless || s.Leader != "n2" || s.Failed != 1 {
			t.Errorf("second 6 is %+v", s)
		}
		if err := run.valid(); err != nil {
			t.Error(err)
		}
	})
}

// TestAFaultThatDidNotHappen counts for nothing, and the record says why.
func TestAFaultThatDidNotHappen(t *testing.T) {
	r := New(Run{})
	var said []string
	r.Listen(func(e Event) { said = append(said, e.Text) })
	tried := r.Begin("resync", "n2", "")
	asked := time.Now()
	r.Request(asked.Add(-time.Second), asked, false, 3)
	r.Void(tried, "nobody answers")
	r.Void(tried, "twice")
	r.Heal(tried, nil)
	r.LeftOut("kill", "any", "", "another fault has hold of it")
	done := r.Begin("freeze", "n1", "")
	r.Heal(done, nil)
	r.Request(asked.Add(-time.Second), time.Now(), false, 1)
	run := r.Finish(nil)
	if len(run.Faults) != 3 || len(run.Played()) != 1 || run.Played()[0].Name != "freeze" || run.Played()[0].Failed != 1 {
		t.Fatalf("%+v", run.Faults)
	}
	for i, why := range []string{"nobody answers", "another fault has hold of it"} {
		if f := run.Faults[i]; f.Void != why || f.Failed+f.Refused != 0 || f.Outage+f.Slowest != 0 || !f.Healed {
			t.Errorf("%+v", f)
		}
	}
	for i, want := range []string{"resync on n2", "resync on n2 did not happen: nobody answers", "left out: kill on any: another fault has hold of it"} {
		if said[i] != want {
			t.Errorf("%q, want %q", said[i], want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	good, bad := Result{Name: "a", When: Always, OK: true}, Result{Name: "b", When: AtEnd, Count: 1, Violations: []string{"lost"}}
	for name, c := range map[string]struct {
		checks  []Result
		problem error
		want    Verdict
	}{
		"passed":                {[]Result{good}, nil, Passed},
		"broken":                {[]Result{good, bad}, nil, Failed},
		"nobody judged":         {nil, nil, Errored},
		"could not be played":   {[]Result{good}, errors.New("no port"), Errored},
		"broken, then repaired": {[]Result{bad, {Name: "b", When: AtEnd, OK: true}}, nil, Passed},
	} {
		r := New(Run{})
		for _, check := range c.checks {
			r.Check(check)
		}
		run := r.Finish(c.problem)
		if run.Verdict != c.want || (run.Problem != "") != (c.want == Errored) {
			t.Errorf("%s: %s %q, want %s", name, run.Verdict, run.Problem, c.want)
		}
		r.Note(Noted, "", "too late")
		if again := r.Finish(nil); !reflect.DeepEqual(again, run) {
			t.Errorf("%s: a run changes after its end", name)
		}
	}
}

// TestListenersHearEverythingInOrder, from many goroutines at once.
func TestListenersHearEverythingInOrder(t *testing.T) {
	r := New(Run{})
	var heard []Event
	r.Listen(func(e Event) { heard = append(heard, e) })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				r.Note(Noted, "", "note")
				n := r.Begin("f", "", "")
				r.Request(time.Now(), time.Now(), i%2 == 0, 0)
				r.Heal(n, nil)
				r.Snapshot()
			}
		})
	}
	all.Wait()
	run := r.Finish(errors.New("no check"))
	if !reflect.DeepEqual(heard, run.Events) || len(heard) != 8*300 {
		t.Errorf("heard %d events of %d", len(heard), len(run.Events))
	}
	if err := run.valid(); err != nil {
		t.Error(err)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 840 * time.Microsecond: "840 µs", 14 * time.Millisecond: "14 ms", 2350 * time.Millisecond: "2.35 s", 12 * time.Second: "12.0 s",
		200 * time.Second: "3 min 20 s", 59*time.Minute + 59700*time.Millisecond: "1 h 0 min", 3*time.Hour + 5*time.Minute: "3 h 5 min", -time.Second: "-1.00 s",
	} {
		if got := Short(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567", -999: "-999"} {
		if got := Number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// sample is a run with something in every field.
func sample() *Run {
	return &Run{
		Format: Format, Scenario: "kill", About: "a", Profile: "ci", Substrate: "loopback", Seed: 7, Digest: "d", Commit: "c", Version: "v",
		Programs: []Program{{Path: "p", SHA256: "s"}}, Env: []string{"A=b"}, Judged: []string{"c"}, Began: time.Unix(1, 0).UTC(),
		Took: 2 * time.Second, Nodes: []string{"n1"}, Instances: []string{"instance1"}, Sessions: 3, Outage: 4, Events: []Event{{At: 5, Kind: Noted, Subject: "s", Text: "t"}},
		Faults: []Fault{{Name: "f", Target: "n1", From: 1, To: 2, Outage: 3, Slowest: 4, Failed: 1, Refused: 2, Healed: true, Text: "t"}, {Name: "g", Healed: true, Void: "w"}},
		Series: []Second{{Requests: 5, Failed: 1, Refused: 2, P50: 1, P90: 2, P99: 3, Max: 4, Leader: "n1", Holder: "n1", Leaderless: true}},
		Checks: []Result{{Name: "c", When: AtEnd, About: "a", Saw: "s", Violations: []string{"v"}, Count: 2, Unjudged: 1, Took: 1}, {Name: "d", When: AtEnd, OK: true, Nothing: true}},
		Budget: Budget{Failed: 1, Refused: 2, Outage: 2, Slowest: 3}, Verdict: Failed, Problem: "p", Replay: "r", Artefacts: []string{"n1.log"},
	}
}

func TestRunsAreWrittenAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.json")
	for range 2 { // the second replaces the first
		if err := Write(path, sample()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("%v\n%+v", err, got)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files are left", len(files))
	}
	if err := Write(filepath.Join(path, "below", "run.json"), sample()); err == nil {
		t.Error("a run was written below a file")
	}
	if _, err := Read(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

// TestEveryFieldHasAStableName: the names of run.json are what other programs read.
func TestEveryFieldHasAStableName(t *testing.T) {
	text, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"format":1,"scenario":"kill","about":"a","profile":"ci","substrate":"loopback","seed":7,"digest":"d","commit":"c","version":"v","programs":[{"path":"p","sha256":"s"}],"env":["A=b"],"judged":["c"],"began":"1970-01-01T00:00:01Z",` +
		`"tookNs":2000000000,"nodes":["n1"],"instances":["instance1"],"sessions":3,"outageNs":4,"events":[{"atNs":5,"kind":"note","subject":"s","text":"t"}],` +
		`"faults":[{"name":"f","target":"n1","fromNs":1,"toNs":2,"outageNs":3,"slowestNs":4,"failed":1,"refused":2,"healed":true,"text":"t"},` +
		`{"name":"g","fromNs":0,"toNs":0,"outageNs":0,"slowestNs":0,"failed":0,"refused":0,"healed":true,"void":"w"}],` +
		`"series":[{"at":0,"requests":5,"failed":1,"refused":2,"p50Ms":1,"p90Ms":2,"p99Ms":3,"maxMs":4,"leader":"n1","holder":"n1","leaderless":true}],` +
		`"checks":[{"name":"c","when":"end","about":"a","saw":"s","ok":false,"violations":["v"],"count":2,"unjudged":1,"tookNs":1},{"name":"d","when":"end","ok":true,"count":0,"nothing":true,"tookNs":0}],` +
		`"budget":{"failed":1,"refused":2,"outageNs":2,"slowestNs":3},"verdict":"failed","problem":"p","replay":"r","artefacts":["n1.log"]}`
	if string(text) != want {
		t.Errorf("run.json is\n%s, want\n%s", text, want)
	}
}

func TestDamagedRunsAreRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "unexpected end"},
		{`[]`, "line 1"},
		{`{}`, `no "format"`},
		{`{"format": 2}`, "format is 2"},
		{"{\"format\": 1,\n \"seed\": -1}", "line 2, column 11"},
		{`{"format": 1, "sede": 1}`, `unknown field "sede"`},
		{`{"format": 1, "verdict": "fine"}`, `verdict "fine"`},
		{`{"format": 1, "tookNs": -1}`, "tookNs"},
		{`{"format": 1, "outageNs": -1}`, "outageNs"},
		{`{"format": 1, "events": [{"atNs": 2}, {"atNs": 1}]}`, "event 1"},
		{`{"format": 1, "faults": [{"fromNs": 2, "toNs": 1}]}`, "fault 0"},
		{`{"format": 1, "series": [{"at": 1}]}`, "series 0"},
		{`{"format": 1, "series": [{"at": 0, "requests": 1, "failed": 2}]}`, "2 of 1 failed"},
		{`{"format": 1, "checks": [{"when": "soon"}]}`, `when is "soon"`},
		{`{"format": 1, "checks": [{"when": "end", "ok": true, "count": 1}]}`, "ok is true"},
		{`{"format": 1, "checks": [{"when": "end", "ok": false, "count": 0}]}`, "ok is false"},
		{`{"format": 1, "checks": [{"when": "end", "ok": false, "count": 1, "unjudged": 2}]}`, "unjudged is 2"},
		{`{"format": 1, "checks": [{"when": "end", "ok": false, "count": 1, "nothing": true}]}`, "nothing is true, and it is not ok"},
	} {
		if _, err := Decode([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

// FuzzDecode: whatever is read as a run can be written and read again, as the same.
func FuzzDecode(f *testing.F) {
	text, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":1,"faults":[{"toNs":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		run, err := Decode(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(run)
		if err != nil {
			t.Fatalf("a run that was read cannot be written: %v", err)
		}
		if second, err := Decode(again); err != nil {
			t.Fatalf("%v: %s", err, again)
		} else if third, _ := json.Marshal(second); string(third) != string(again) {
			t.Fatalf("%s became %s", again, third)
		}
	})
}
