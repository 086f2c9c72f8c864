package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// sampleRun makes a run as one looks, from a seed.
func sampleRun(seed uint64, broken bool) *record.Run {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &record.Run{
		Format: record.Format, Scenario: "leader-killed-under-load", Profile: "ci", Substrate: "loopback", Seed: seed, Version: "v0.6.0", Commit: "9296a30c1d",
		About: "The leader is killed, cut off and frozen while sessions begin and the configuration changes.", Began: time.Date(2026, 5, 4, 9, 30, 0, 0, time.UTC),
		Took: 96 * time.Second, Nodes: []string{"n1", "n2", "n3"}, Instances: []string{"instance1", "instance2", "instance3"}, Sessions: 5120,
		Budget: record.Budget{Failed: 0, Outage: time.Second}, Verdict: record.Passed, Replay: fmt.Sprintf("holdfast-chaos run --scenario leader-killed-under-load --seed %d", seed),
	}
	sec := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
	event := func(at float64, kind record.Kind, subject, text string) {
		r.Events = append(r.Events, record.Event{At: sec(at), Kind: kind, Subject: subject, Text: text})
	}
	event(0.1, record.LeaderIs, "n1", "n1 leads")
	event(0.2, record.HolderIs, "n1", "n1 holds the virtual address")
	event(8.4, record.Configured, "", "Configuration revision 2 by admin")
	event(12, record.FaultBegins, "n1", "kill on n1")
	event(12.03, record.LeaderIs, "", "nobody leads")
	event(12.21, record.LeaderIs, "n2", "n2 leads")
	event(12.22, record.HolderIs, "n2", "n2 holds the virtual address")
	event(20, record.FaultEnds, "n1", "kill on n1 is over after 8.00 s")
	event(31, record.Quiesced, "plain/instance2", "Quiesce of instance instance2 of cluster plain begins")
	event(38.5, record.LeaderIs, "", "nobody leads")
	event(39.6, record.LeaderIs, "n3", "n3 leads")
	event(39.7, record.HolderIs, "n3", "n3 holds the virtual address")
	event(61, record.Quiesced, "plain/instance2", "Instance: instance2 quiesced successfully over the cluster: plain.")
	event(70, record.Configured, "", "Configuration revision 3 by admin")
	fault := func(name, target string, from, to float64, outage, slowest time.Duration, failed, refused int) {
		r.Faults = append(r.Faults, record.Fault{Name: name, Target: target, From: sec(from), To: sec(to), Outage: outage, Slowest: slowest, Failed: failed, Refused: refused, Healed: true})
	}
	fault("kill", "n1", 12, 20, 41*time.Millisecond, 212*time.Millisecond, 0, 0)
	fault("isolate", "n2", 38, 52, 163*time.Millisecond, 1130*time.Millisecond, 0, 0)
	fault("delay 40 ms", "n1 to n3", 44, 66, 18*time.Millisecond, 340*time.Millisecond, 0, 0)
	fault("instance stalls", "instance3", 47, 58, 11*time.Millisecond, 520*time.Millisecond, 0, 0)
	fault("freeze", "n3", 76, 80.5, 97*time.Millisecond, 640*time.Millisecond, 0, 0)
	for at := range 97 {
		s := record.Second{At: at, Requests: 290 + random.IntN(25), Leader: "n3", Holder: "n3"}
		if at == 96 {
			s.Requests = 3
		}
		if at < 39 {
			s.Leader, s.Holder = "n2", "n2"
		}
		if at < 12 {
			s.Leader, s.Holder = "n1", "n1"
		}
		load := 1 + 2*math.Exp(-math.Pow(float64(at)-12.5, 2)/3) + 6*math.Exp(-math.Pow(float64(at)-39, 2)/4) + 2*math.Exp(-math.Pow(float64(at)-50, 2)/60) + 3*math.Exp(-math.Pow(float64(at)-77, 2)/4)
		s.P50 = 1.1 * (1 + .2*load) * (.9 + .2*random.Float64())
		s.P90 = 2.4 * load * (.9 + .2*random.Float64())
		s.P99 = 6 * load * load * (.8 + .4*random.Float64())
		s.Max = s.P99 * (1.3 + 2*random.Float64()*load/2)
		r.Series = append(r.Series, s)
	}
	r.Checks = []record.Result{
		{Name: "sessions-stay", When: record.Always, OK: true, About: "A session is answered by the instance that its client was told, which knows it, unless it had an occasion to leave.", Saw: "answers of 5,120 sessions, each by the instance that its client was told"},
		{Name: "answers-own", When: record.Always, OK: true, About: "No client gets another client's answer.", Saw: "answers to 5,120 sessions, each their own"},
		{Name: "requests-answered", When: record.Always, OK: true, About: "No more requests fail, or are refused with a status of 500 or above, than the scenario allows.", Saw: "29,103 requests, 0 failed, 0 refused"},
		{Name: "one-leader", When: record.Eventually, OK: true, About: "After the last fault the group has one leader, and all nodes name it.", Saw: "n3 leads, and all name it, after 104 ms"},
		{Name: "equal-state", When: record.Eventually, OK: true, About: "After the last fault all nodes are at one index, with one state.", Saw: "3 nodes at index 8,812, state 59061b60bd98, after 212 ms"},
		{Name: "assignments-linearizable", When: record.AtEnd, OK: true, About: "All answers about a session could have come from one table on one machine.", Saw: "29,103 operations on 5,120 sessions, all in an order", Took: 120 * time.Millisecond},
		{Name: "nothing-leaked", When: record.AtEnd, OK: true, About: "Goroutines and open files are as before the load, and nothing is left on the machine.", Saw: "as before: n1 61 goroutines and 34 files, n2 58 goroutines and 33 files, n3 60 goroutines and 34 files"},
	}
	if broken {
		r.Checks = append(r.Checks, record.Result{Name: "backups-whole", When: record.Always, OK: true, Nothing: true, About: "Every backup can be read back.", Saw: "no backup was taken, so this shows nothing of it"})
		r.Verdict = record.Failed
		r.Series[13].Failed, r.Series[40].Failed, r.Series[41].Failed = 4, 19, 7
		r.Series[40].Refused = 31
		r.Faults[1].Failed, r.Faults[1].Refused, r.Faults[0].Failed = 26, 31, 4
		r.Faults[4].Healed, r.Faults[4].Text, r.Faults[4].To = false, "not healed: process 4711 has ended", r.Took
		c := &r.Checks[0]
		c.OK, c.Count, c.Saw = false, 41, "41 sessions left their instance, or were forgotten there"
		c.Violations = []string{
			"moved: session 812: told instance1 by node n1, now instance3 by node n2 (plain, 9 answers)", "moved: session 813: told instance2 by node n1, now instance3 by node n2 (plain, 4 answers)",
		}
		c = &r.Checks[2]
		c.OK, c.Count, c.Saw = false, 1, "29,103 requests, 30 failed, 31 refused"
		c.Violations = []string{"30 requests got no good answer, the scenario allows 0"}
		r.Artefacts = []string{"n1.log", "n2.log", "n3.log", "history-812.html"}
	}
	return r
}
