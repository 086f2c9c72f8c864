package fsm

import (
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestWorkedExampleOfTheDocument: a period of 31 minutes. At 30:50 assigned requests still go to the instance; at 31:00 it ends, not a millisecond before, whoever
// says so; what was dispatched at 30:50 is nothing to the state: it goes on (lb TestRequestInFlightOutlivesTheQuiesce, chaos TestQuiesceSurvivesLeaderKills).
func TestWorkedExampleOfTheDocument(t *testing.T) { // SUN-55, SUN-19, SUN-47, SUN-48
	r := newReplicaUnderTest(t)
	r.change(func(c *config.Cluster) { c.Instances[0].QuiesceTimeout = 31 * minute })
	r.change(disableI1)
	phase := func() Phase {
		o := r.s.Operating()
		return o.InstancePhase("c1", &o.Config.Clusters[0].Instances[0])
	}
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Reason: ReasonPolicy})
	r.at(30*time.Minute + 50*time.Second)
	r.wantCode(r.end(i1, false), CodeInvalid, "ends at")
	if phase() != PhaseQuiescing {
		t.Errorf("at 30:50 it is in phase %v", phase())
	}
	r.at(31*time.Minute - time.Millisecond)
	r.wantCode(r.end(i1, false), CodeInvalid, "ends at")
	r.at(31 * time.Minute)
	r.wantCode(r.end(i1, false), CodeOK, "")
	if phase() != PhaseStopped {
		t.Errorf("at 31:00 it is in phase %v", phase())
	}
	if a, ok := r.s.Lookup(testKey(1)); !ok || a.Instance != 1 {
		t.Error("the end itself moves no session: its next request does")
	}
	if e := r.eventsOf(EventQuiesced); len(e) != 1 || !e[0].Time.Equal(testStart.Add(31*time.Minute)) {
		t.Errorf("%+v", e)
	}
}
