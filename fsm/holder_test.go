package fsm

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

const vipA, vipB = "10.0.0.100/24@eth0", "2001:db8::100/64@eth0"

// lastEvent is the text of the newest event, which must be of that kind.
func (r *replicaUnderTest) lastEvent(kind string) Event {
	r.t.Helper()
	list := r.s.Events(0, maxEvents)
	if len(list) == 0 || list[len(list)-1].Kind != kind {
		r.t.Fatalf("the newest of %d events is none of kind %s", len(list), kind)
	}
	return list[len(list)-1]
}

// A record of the holder says all that people ask for after a change, in one event: who, before whom, term, index, gap, assignments.
func TestHolderReceipts(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, tt := range []struct {
		after time.Duration
		set   HolderSet
		want  string // without "INDEX"
		node  string // that writes the line
		held  Holder // Since counts from the start of the test
	}{
		{0, HolderSet{Reason: "no node is eligible", Term: 1, Addresses: []string{vipA}, Proposer: "n3"},
			"No node holds 10.0.0.100/24@eth0: term 1, index INDEX: no node is eligible", "n3", Holder{Term: 1}},
		{time.Second, HolderSet{Node: "n1", Term: 2, Addresses: []string{vipA, vipB}, SessionsBefore: 5, SessionsAfter: 5},
			"Node n1 holds 10.0.0.100/24@eth0, 2001:db8::100/64@eth0, no node did before: term 2, index INDEX, gap 0 ms, assignments 5 before and 5 after", "n1", Holder{Node: "n1", Term: 2}},
		{2 * time.Second, HolderSet{Node: "n2", Term: 3, Gap: 38*time.Millisecond + 999_999, SessionsBefore: 2261, SessionsAfter: 2262, Addresses: []string{vipA}, Reason: "its connections ended"},
			"Node n2 holds 10.0.0.100/24@eth0, taken over from node n1: term 3, index INDEX, gap 38 ms, assignments 2261 before and 2262 after: its connections ended", "n2",
			Holder{Node: "n2", Term: 3, Previous: "n1", Gap: 38 * time.Millisecond}},
		{3 * time.Second, HolderSet{Node: "n3", Term: 5, Previous: "n2", Planned: true, Addresses: []string{vipA}, Reason: "node n2 is evacuated"},
			"Node n3 holds 10.0.0.100/24@eth0, handed over by node n2: term 5, index INDEX, gap 0 ms, assignments 0 before and 0 after: node n2 is evacuated", "n3", Holder{Node: "n3", Term: 5, Previous: "n2"}},
		{4 * time.Second, HolderSet{Term: 5, Reason: "the link is down", Addresses: []string{vipA}},
			"No node holds 10.0.0.100/24@eth0 any more, node n3 did before: term 5, index INDEX: the link is down", "n3", Holder{Term: 5, Previous: "n3"}},
		{5 * time.Second, HolderSet{Node: "n3", Term: 5, Gap: 1200 * time.Millisecond, Addresses: []string{vipA}},
			"Node n3 holds 10.0.0.100/24@eth0 again: term 5, index INDEX, gap 1200 ms, assignments 0 before and 0 after", "n3", Holder{Node: "n3", Term: 5, Previous: "n3", Gap: 1200 * time.Millisecond}},
		{6 * time.Second, HolderSet{Node: "n3", Term: 6, Gap: time.Millisecond, Addresses: strings.Split("a b c d e f", " ")},
			"Node n3 holds a, b, c, d and 2 more again: term 6, index INDEX, gap 1 ms, assignments 0 before and 0 after", "n3", Holder{Node: "n3", Term: 6, Previous: "n3", Gap: time.Millisecond}},
		{7 * time.Second, HolderSet{Node: "n1", Term: 9},
			"Node n1 holds the virtual address, taken over from node n3: term 9, index INDEX, gap 0 ms, assignments 0 before and 0 after", "n1", Holder{Node: "n1", Term: 9, Previous: "n3"}},
	} {
		r.at(tt.after)
		before := r.s.LastEvent()
		r.wantCode(r.do(&tt.set), CodeOK, "")
		e, h := r.lastEvent(EventHolder), r.s.Operating().Holder
		if want := strings.ReplaceAll(tt.want, "INDEX", fmt.Sprint(r.index)); e.Text != want || h.Receipt() != want || e.Node != tt.node || r.s.LastEvent() != before+1 {
			t.Errorf("got  %s\nwant %s\nby %s, %d events", e.Text, want, e.Node, r.s.LastEvent()-before)
		}
		want := tt.held
		want.Since, want.Index, want.Planned, want.Reason, want.Addresses = testStart.Add(tt.after), r.index, tt.set.Planned, tt.set.Reason, tt.set.Addresses
		want.SessionsBefore, want.SessionsAfter = tt.set.SessionsBefore, tt.set.SessionsAfter
		if !reflect.DeepEqual(*h, want) {
			t.Errorf("got  %+v\nwant %+v", *h, want)
		}
		r.survives()
	}
}

// Only a newer term or the same one counts; what is recorded already is no second event, and a newer term of the same holder is only noted.
func TestHolderTerms(t *testing.T) {
	r := newReplicaUnderTest(t)
	set := func(code Code, text string, c HolderSet) {
		t.Helper()
		r.wantCode(r.do(&c), code, text)
		r.survives()
	}
	set(CodeOK, "", HolderSet{Node: "n1", Term: 4, Addresses: []string{vipA}})
	first, events := *r.s.Operating().Holder, r.s.LastEvent()
	r.at(time.Minute)
	set(CodeOK, "", HolderSet{Node: "n1", Term: 4, Gap: time.Hour, Reason: "again", Addresses: []string{vipA}})
	set(CodeConflict, "term 3 is over: the holder of the virtual address is recorded as of term 4", HolderSet{Node: "n2", Term: 3})
	set(CodeConflict, "term 3 is over", HolderSet{Term: 3, Reason: "gone"})
	set(CodeInvalid, "node n1 holds the virtual address in term 4: node n2 cannot lead in the same term", HolderSet{Node: "n2", Term: 4})
	if got := *r.s.Operating().Holder; !reflect.DeepEqual(got, first) || r.s.LastEvent() != events {
		t.Fatalf("got %+v, want %+v; %d events", got, first, r.s.LastEvent()-events)
	}
	set(CodeOK, "", HolderSet{Node: "n1", Term: 6, Addresses: []string{vipA}})
	first.Term, first.Index = 6, r.index
	if got := *r.s.Operating().Holder; !reflect.DeepEqual(got, first) || r.s.LastEvent() != events {
		t.Fatalf("elected again without a gap: got %+v, want %+v; %d events", got, first, r.s.LastEvent()-events)
	}
	set(CodeConflict, "term 5 is over", HolderSet{Node: "n2", Term: 5})
	set(CodeOK, "", HolderSet{Node: "n1", Term: 6, Addresses: []string{vipA, vipB}})
	if h := r.s.Operating().Holder; r.s.LastEvent() != events+1 || len(h.Addresses) != 2 || !h.Since.Equal(testStart.Add(time.Minute)) {
		t.Fatalf("other addresses: %+v, %d events", h, r.s.LastEvent()-events)
	}
	// Nobody, for a reason: once for each reason, whatever the term.
	for i, tt := range []struct {
		term   uint64
		reason string
		events uint64
	}{{6, "link down", 1}, {6, "link down", 0}, {7, "link down", 0}, {7, "not serving", 1}, {math.MaxUint64, "not serving", 0}} {
		events := r.s.LastEvent()
		set(CodeOK, "", HolderSet{Term: tt.term, Reason: tt.reason})
		if h := r.s.Operating().Holder; r.s.LastEvent() != events+tt.events || h.Node != "" || h.Previous != "n1" || h.Term != tt.term {
			t.Fatalf("%d: %+v, %d events", i, h, r.s.LastEvent()-events)
		}
	}
}

// TestHolderLate: what could not be noted in its term is told when it can be, once, and says nothing about who holds now.
func TestHolderLate(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.wantCode(r.do(&HolderSet{Node: "n3", Term: 6, Addresses: []string{vipA}}), CodeOK, "")
	holds, events := *r.s.Operating().Holder, r.s.LastEvent()
	late := func(text string, c HolderSet) {
		t.Helper()
		c.Late = true
		for range 2 {
			r.wantCode(r.do(&c), CodeOK, "")
			r.survives()
		}
		if text != "" {
			events++
			if e := r.lastEvent(EventHolder); e.Text != strings.ReplaceAll(text, "INDEX", fmt.Sprint(r.index-1)) || e.Node != "n1" {
				t.Errorf("%s, by %s", e.Text, e.Node)
			}
		}
		if got := *r.s.Operating().Holder; !reflect.DeepEqual(got, holds) || r.s.LastEvent() != events {
			t.Errorf("%+v, want %+v; %d events, want %d", got, holds, r.s.LastEvent(), events)
		}
	}
	late("Node n1 held "+vipA+", taken over from node n2: term 5, index INDEX, gap 31 ms, assignments 7 before and 8 after; noted late, that term is over",
		HolderSet{RequestID: testRequestID(1), Node: "n1", Previous: "n2", Term: 5, Gap: 31 * time.Millisecond, SessionsBefore: 7, SessionsAfter: 8, Addresses: []string{vipA}})
	late("No node held "+vipA+" any more, node n1 did before: term 5, index INDEX: the link is down; noted late, that term is over",
		HolderSet{RequestID: testRequestID(2), Previous: "n1", Term: 5, Reason: "the link is down", Addresses: []string{vipA}, Proposer: "n1"})
	late("", HolderSet{RequestID: testRequestID(3), Node: "n1", Previous: "n1", Term: 7}) // it held on
	r.wantCode(r.do(&HolderSet{Late: true, Term: 9}), CodeInvalid, "no reason says why")
	r.wantCode(r.do(&HolderSet{RequestID: testRequestID(4), Node: "n3", Term: 6, Addresses: []string{vipA, vipB}}), CodeOK, "")
	r.wantCode(r.do(&HolderSet{RequestID: testRequestID(4), Late: true, Node: "n3", Term: 6, Addresses: []string{vipA, vipB}}), CodeOK, "") // it had been noted, and nobody knew
	if n := r.s.LastEvent(); n != events+1 {
		t.Errorf("%d events", n-events)
	}
}

func TestHolderRefuses(t *testing.T) {
	long := strings.Repeat("n", maxNodeName+1)
	for text, c := range map[string]HolderSet{
		"the term of the leader is missing":  {Node: "n1"},
		"and no reason says why":             {Term: 1},
		`"n 1" is no name of a node`:         {Node: "n 1", Term: 1},
		`"-n" is no name of a node`:          {Node: "n1", Previous: "-n", Term: 1},
		`"\x1b[2J" is no name of a node`:     {Node: "n1", Proposer: "\x1b[2J", Term: 1},
		"has 64 bytes, must be from 1 to 63": {Node: long, Term: 1},
		"a gap of -1ns is none":              {Node: "n1", Term: 1, Gap: -1},
		"-1 assignments before and 0 after":  {Node: "n1", Term: 1, SessionsBefore: -1},
		"0 assignments before and -5 after":  {Node: "n1", Term: 1, SessionsAfter: -5},
		"the reason has 4097 bytes":          {Node: "n1", Term: 1, Reason: string(make([]byte, maxTextBytes+1))},
		"65 virtual addresses, at most 64":   {Node: "n1", Term: 1, Addresses: make([]string, maxAddresses+1)},
		"a virtual address is missing":       {Node: "n1", Term: 1, Addresses: []string{vipA, ""}},
		"a virtual address has 257 bytes":    {Node: "n1", Term: 1, Addresses: []string{string(make([]byte, maxNameBytes+1))}},
		"must be from 1 to 63":               {Node: strings.Repeat("x", 1<<20), Term: 1},
	} {
		r := newReplicaUnderTest(t)
		before := dumpOf(r.s)
		r.wantCode(r.do(&c), CodeInvalid, text)
		if after := dumpOf(r.s); !reflect.DeepEqual(after.Operating, before.Operating) || len(after.Events) != 0 {
			t.Errorf("%s: the state has changed", text)
		}
	}
	// The largest that is taken fits into the state and its event.
	r := newReplicaUnderTest(t)
	big := HolderSet{Node: long[1:], Term: math.MaxUint64, Gap: math.MaxInt64, Reason: strings.Repeat("\U0001f600", maxTextBytes/4), SessionsBefore: math.MaxInt32}
	for range maxAddresses {
		big.Addresses = append(big.Addresses, strings.Repeat("a", maxNameBytes))
	}
	r.wantCode(r.do(&big), CodeOK, "")
	if e := r.lastEvent(EventHolder); len(e.Text) > maxTextBytes {
		t.Errorf("an event of %d bytes", len(e.Text))
	}
	r.survives()
}

// An evacuation survives everything until it is cleared.
func TestEvacuation(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.wantCode(r.do(&EvacuationClear{Node: "n1"}), CodeAbsent, "node n1 is not evacuated")
	r.at(time.Second)
	r.wantCode(r.do(&EvacuationSet{RequestID: testRequestID(1), Node: "n2", Actor: "ann", Reason: "new disk"}), CodeOK, "")
	if e := r.lastEvent(EventEvacuated); e.Actor != "ann" || e.Text != "Node n2 is evacuated by ann: it neither leads nor holds the virtual address: new disk" {
		t.Errorf("%+v", e)
	}
	r.at(time.Minute)
	events := r.s.LastEvent()
	r.wantCode(r.do(&EvacuationSet{RequestID: testRequestID(2), Node: "n2", Actor: "ann", Reason: "new disk"}), CodeOK, "")
	if r.s.LastEvent() != events {
		t.Error("the same again is an event")
	}
	r.wantCode(r.do(&EvacuationSet{RequestID: testRequestID(3), Node: "n1"}), CodeOK, "")
	r.wantCode(r.do(&EvacuationSet{RequestID: testRequestID(4), Node: "n2", Actor: "bob"}), CodeOK, "")
	want := []Evacuation{{Node: "n1", Since: testStart.Add(time.Minute)}, {Node: "n2", Since: testStart.Add(time.Second), Actor: "bob"}}
	if got := r.s.Operating().Evacuated; !reflect.DeepEqual(got, want) || r.s.LastEvent() != events+2 {
		t.Fatalf("got %+v, want %+v; %d events", got, want, r.s.LastEvent()-events)
	}
	r.wantCode(r.do(&HolderSet{Node: "n2", Term: 1}), CodeOK, "")
	r.change(nil)
	r.survives()
	if o := r.s.Operating(); !reflect.DeepEqual(o.Evacuated, want) || o.Evacuation("n2").Actor != "bob" || o.Evacuation("n3") != nil || o.Evacuation("") != nil {
		t.Fatalf("%+v", o.Evacuated)
	}
	r.wantCode(r.do(&EvacuationClear{RequestID: testRequestID(5), Node: "n1", Actor: "ann"}), CodeOK, "")
	if e := r.lastEvent(EventReturned); e.Text != "Evacuation of node n1 ended by ann" {
		t.Errorf("%+v", e)
	}
	// What is sent again after another has undone it changes nothing: it gives its first result.
	r.wantCode(r.do(&EvacuationSet{RequestID: testRequestID(3), Node: "n1"}), CodeOK, "")
	r.wantCode(r.do(&EvacuationClear{Node: "n1"}), CodeAbsent, "")
	r.wantCode(r.do(&EvacuationClear{Node: "n2"}), CodeOK, "")
	if o := r.s.Operating(); o.Evacuated != nil {
		t.Fatalf("%+v", o.Evacuated)
	}
	r.survives()
}

func TestEvacuationRefuses(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, node := range []string{"", ".", "-", "a b", "a/b", "a\n", "ü", "a\x00", strings.Repeat("n", 64), strings.Repeat("n", 1<<20)} {
		r.wantCode(r.do(&EvacuationSet{Node: node}), CodeInvalid, "")
		r.wantCode(r.do(&EvacuationClear{Node: node}), CodeInvalid, "")
	}
	r.wantCode(r.do(&EvacuationSet{Node: "n1", Reason: string(make([]byte, maxTextBytes+1))}), CodeInvalid, "the reason has 4097 bytes")
	r.wantCode(r.do(&EvacuationSet{Node: "n1", Actor: string(make([]byte, maxNameBytes+1))}), CodeInvalid, "the actor has 257 bytes")
	r.wantCode(r.do(&EvacuationClear{Node: "n1", Actor: string(make([]byte, maxNameBytes+1))}), CodeInvalid, "the actor has 257 bytes")
	if r.s.LastEvent() != 0 || r.s.Operating().Evacuated != nil {
		t.Fatalf("%+v", r.s.Operating().Evacuated)
	}
	for n := range maxEvacuations {
		r.wantCode(r.do(&EvacuationSet{Node: fmt.Sprint("n", n)}), CodeOK, "")
	}
	r.wantCode(r.do(&EvacuationSet{Node: "one-more"}), CodeInvalid, "100 nodes are evacuated, the most that a group keeps")
	r.wantCode(r.do(&EvacuationSet{Node: "n7", Reason: "another reason"}), CodeOK, "")
	r.survives()
}

// A receipt that comes late has a file of its own: it is the old command with two fields more.
func TestGoldenV4HolderLate(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	late := &HolderSet{RequestID: testRequestID(90), Late: true, Node: "n1", Previous: "n2", Term: 5, Gap: 31 * time.Millisecond, SessionsBefore: 7, SessionsAfter: 8, Addresses: []string{vipA}}
	applyGolden(t, r, []goldenEntry{{file: "v4_holder_late.entry", bytes: mustEncode(t, testStart.Add(5*time.Second), late), code: CodeOK}})
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_holder_late.digest", digest); string(digest) != string(want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	r.survives()
}
