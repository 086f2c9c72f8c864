package record

import "time"

// Format is the version of run.json that this package writes, and the newest that it reads. Fields are added without a new number; one
// that changes its meaning or goes needs one.
const Format = 1

// Run is one run of one scenario.
type Run struct {
	Format int `json:"format"`
	// Scenario, Profile (ci, soak, gameday) and Substrate (loopback, netns, live) say what was played and on what.
	Scenario  string `json:"scenario"`
	About     string `json:"about,omitempty"` // what the scenario is, in a sentence
	Profile   string `json:"profile,omitempty"`
	Substrate string `json:"substrate,omitempty"`
	// Seed is what everything random of the run was drawn from.
	Seed uint64 `json:"seed"`
	// Digest tells the scenario and its plan from another of the same name and seed; empty in records of older programs.
	Digest string `json:"digest,omitempty"`
	// Commit and Version are those of the program under test.
	Commit  string `json:"commit,omitempty"`
	Version string `json:"version,omitempty"`
	// Programs are the builds that were played: the one under test, then the other one beside it if there was one; absent in records of older programs.
	Programs []Program `json:"programs,omitempty"`
	// Env is what nodes had in their environment beside what the harness had in its own, as NAME=VALUE: the known bug of a self-test.
	Env []string `json:"env,omitempty"`
	// Judged names the checks that the scenario asks for; absent where those are all, and in records of older programs.
	Judged    []string      `json:"judged,omitempty"`
	Began     time.Time     `json:"began"`
	Took      time.Duration `json:"tookNs"`
	Nodes     []string      `json:"nodes"`
	Instances []string      `json:"instances"`
	// Sessions counts those that clients were told of.
	Sessions int `json:"sessions"`
	// Outage is the longest time without any answer, also where no fault answers for it; absent in records of older programs.
	Outage time.Duration `json:"outageNs,omitempty"`
	// Events are in the order in which they happened, Faults in the order in which they began, Series has one element for each second.
	Events []Event  `json:"events"`
	Faults []Fault  `json:"faults"`
	Series []Second `json:"series"`
	Checks []Result `json:"checks"`
	Budget Budget   `json:"budget"`
	// Verdict is empty as long as the run goes on.
	Verdict Verdict `json:"verdict,omitempty"`
	// Problem says what kept the run from being played to its end; empty unless the verdict is error.
	Problem string `json:"problem,omitempty"`
	// Replay is the command that plays the same run again.
	Replay string `json:"replay,omitempty"`
	// Artefacts are files that were kept, by their paths below the folder of run.json.
	Artefacts []string `json:"artefacts,omitempty"`
}

// Program is one build of the program under test. Two builds of one version, of sources that nobody committed, differ in their sums.
type Program struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Verdict is the outcome of a run.
type Verdict string

// The verdicts. Errored: the run could not be played, so it says nothing about the program.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Errored Verdict = "error"
)

// Kind says what an event is about.
type Kind string

// The kinds of events.
const (
	FaultBegins Kind = "fault"
	FaultEnds   Kind = "heal"
	LeaderIs    Kind = "leader"
	HolderIs    Kind = "holder"
	Configured  Kind = "config"
	Quiesced    Kind = "quiesce"
	Checked     Kind = "check"
	Noted       Kind = "note"
)

// Event is one thing that happened.
type Event struct {
	At   time.Duration `json:"atNs"`
	Kind Kind          `json:"kind"`
	// Subject is the node, instance, fault or check that it is about; may be empty.
	Subject string `json:"subject,omitempty"`
	// Text is one line for people.
	Text string `json:"text"`
}

// Fault is one fault, from when it was injected until it was healed.
type Fault struct {
	Name   string        `json:"name"`
	Target string        `json:"target,omitempty"`
	From   time.Duration `json:"fromNs"`
	To     time.Duration `json:"toNs"` // not before From; the end of the run where it was not healed
	// Outage is the longest time without any answer that overlaps the fault and the Aftermath. With several faults at once each has it:
	// nobody can say which one it was.
	Outage time.Duration `json:"outageNs"`
	// Slowest is the longest that one request waited for its answer, counted from when it was due.
	Slowest time.Duration `json:"slowestNs"`
	// Failed counts the requests without a good answer that ended meanwhile.
	Failed int `json:"failed"`
	// Refused counts the answers with a status of 500 or above meanwhile, also where another node answered afterwards.
	Refused int `json:"refused"`
	// Healed is false where the fault could not be taken away again; Text says why, or what exactly was done.
	Healed bool   `json:"healed"`
	Text   string `json:"text,omitempty"`
	// Void says why the fault did not happen: it was left out, or could not be injected. It counts for nothing then. Empty: it happened.
	Void string `json:"void,omitempty"`
}

// Second is what happened in one second of a run.
type Second struct {
	// At is the second's number, from 0.
	At int `json:"at"`
	// Requests counts those that ended in it, Failed those of them without a good answer.
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	// Refused counts answers with a status of 500 or above, also where another node answered afterwards.
	Refused int `json:"refused"`
	// P50, P90, P99 and Max are latencies of good answers in milliseconds, counted from when the request was due, so that requests that
	// had to wait for others are not left out. 0 when there are none.
	P50 float64 `json:"p50Ms"`
	P90 float64 `json:"p90Ms"`
	P99 float64 `json:"p99Ms"`
	Max float64 `json:"maxMs"`
	// Leader and Holder are the last that were known in it, empty for none.
	Leader string `json:"leader,omitempty"`
	Holder string `json:"holder,omitempty"`
	// Leaderless says that there was none at some time in it.
	Leaderless bool `json:"leaderless,omitempty"`
}

// When says at which time a check has to hold.
type When string

// The times. Always: at each moment of the run. Eventually: within a time after the last fault was healed. AtEnd: of all that was seen.
const (
	Always     When = "always"
	Eventually When = "eventually"
	AtEnd      When = "end"
)

// Result is what one check says.
type Result struct {
	Name string `json:"name"`
	When When   `json:"when"`
	// About is what is promised, in a sentence; Saw is what was seen, in another.
	About string `json:"about,omitempty"`
	Saw   string `json:"saw,omitempty"`
	OK    bool   `json:"ok"`
	// Violations are the first of them, each in a sentence; Count is the number of all.
	Violations []string `json:"violations,omitempty"`
	Count      int      `json:"count"`
	// Unjudged is how many of them say only that something could not be judged: the promise does not hold then, and nothing was seen that breaks it.
	Unjudged int `json:"unjudged,omitempty"`
	// Nothing says that there was nothing to judge, as in a run in which no backup was taken: the promise does not count among those that were kept. Such a check is OK; absent in records of older programs.
	Nothing bool          `json:"nothing,omitempty"`
	Took    time.Duration `json:"tookNs"`
}

// Shown says that something was seen that breaks the promise.
func (r Result) Shown() bool { return r.Count > r.Unjudged }

// Budget is what a run may cost. The zero value: no request may fail, and times are not limited.
type Budget struct {
	// Failed is how many requests may end without a good answer.
	Failed int `json:"failed"`
	// Refused is how many answers may have a status of 500 or above.
	Refused int `json:"refused"`
	// Outage limits the longest time without any answer, Slowest the longest wait of one request; 0: not limited.
	Outage  time.Duration `json:"outageNs,omitempty"`
	Slowest time.Duration `json:"slowestNs,omitempty"`
}

// Requests counts the requests of the run, those of them that failed, and the answers with a status of 500 or above.
func (r *Run) Requests() (all, failed, refused int) {
	for _, s := range r.Series {
		all += s.Requests
		failed += s.Failed
		refused += s.Refused
	}
	return all, failed, refused
}

// Played lists the faults that happened.
func (r *Run) Played() (list []Fault) {
	for _, f := range r.Faults {
		if f.Void == "" {
			list = append(list, f)
		}
	}
	return list
}

// Worst gives the longest outage and the longest wait of one request of the run.
func (r *Run) Worst() (outage, slowest time.Duration) {
	outage = r.Outage
	for _, f := range r.Faults {
		outage, slowest = max(outage, f.Outage), max(slowest, f.Slowest)
	}
	for _, s := range r.Series {
		slowest = max(slowest, time.Duration(s.Max*float64(time.Millisecond)))
	}
	return outage, slowest
}

// Kept counts the checks that hold: those that had something to judge, and those that had nothing.
func (r *Run) Kept() (kept, nothing int) {
	for _, c := range r.Checks {
		switch {
		case !c.OK:
		case c.Nothing:
			nothing++
		default:
			kept++
		}
	}
	return kept, nothing
}

// Broken lists the checks that do not hold.
func (r *Run) Broken() (list []Result) {
	for _, c := range r.Checks {
		if !c.OK {
			list = append(list, c)
		}
	}
	return list
}
