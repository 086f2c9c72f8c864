package fsm

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Everything that Apply cannot have made is refused, though frame, checksums and order are right. forge writes a wrong digest, so a forgery that
// is found says what is wrong before the digests are compared.
func TestRestoreRefusesForgedOperating(t *testing.T) {
	one := func(it item, b []byte) section { return list(it, b) }
	names := list(itemName, appendName(nil, 1, InstanceRef{"c", "i1"}), appendName(nil, 2, InstanceRef{"c", "i2"}))
	rev := one(itemRevision, appendRevision(nil, &Revision{Number: 1, Index: 3, Time: testStart, raw: []byte(`{"clusters":[{"name":"c","registration":{"allow":true},
		"modules":[{"contextRoot":"/a"}],"instances":[{"name":"i1","enabled":false},{"name":"i2","enabled":true,"maxConnections":5}]}]}`)}))
	mod := func(id ModuleID, root string) []byte { return appendModule(nil, id, ModuleRef{"c", "", root}) }
	modules := list(itemModule, mod(1, "/a"))
	at := func(index uint64) section { return one(itemOperating, appendU64(nil, index)) }
	off := Subject{Cluster: "c", Instance: "i1"}
	later, longer := testStart.Add(time.Millisecond), string(make([]byte, maxTextBytes+1))
	quiesce := func(q Quiesce) []byte { return appendQuiesce(nil, &q) }
	lock := func(l Lock) []byte { return appendLock(nil, &l) }
	verdict := func(v Verdict) []byte { return appendVerdict(nil, &v) }
	reg := func(cluster, raw string) []byte {
		return appendRegistration(nil, &Registration{Cluster: cluster, raw: []byte(raw), Since: testStart})
	}
	sched := func(s Schedule) []byte { s.rawEdits = []byte(`[{"op":"x"}]`); return appendSchedule(nil, &s) }
	flow := func(w Workflow) []byte { p := &w; return appendWorkflow(nil, &p) }
	share := func(id InstanceID, node string, n int) []byte { return appendShare(nil, &Share{id, node, n}) }
	event := func(seq, index uint64, at time.Time) []byte {
		return appendEvent(nil, &Event{Seq: seq, Index: index, Time: at, Kind: EventConfig})
	}
	holder := func(h Holder) []byte { return appendHolder(nil, &h) }
	evacuation := func(e Evacuation) []byte { return appendEvacuation(nil, &e) }
	revoked := func(id string, index uint64, at time.Time) []byte {
		return appendRevocation(nil, &Revocation{ID: id, Since: at, Index: index})
	}
	holds := Holder{Node: "n2", Since: testStart, Term: 3, Index: 5, Previous: "n1", Gap: time.Second, Planned: true, Reason: "r", SessionsBefore: 7, SessionsAfter: 7, Addresses: []string{"a"}}
	backups := func(b Backups) []byte { return appendBackups(nil, &b) }
	good1 := Backups{First: testStart, Every: time.Hour, ID: "b", Node: "n1", Begun: testStart, Ended: testStart, Good: &GoodBackup{Node: "n1", Name: "a", Index: 1, Bytes: 1, At: testStart}}
	backed := func(change func(*Backups)) []section {
		b := good1
		change(&b)
		return []section{at(5), one(itemBackups, backups(b))}
	}
	held := func(change func(*Holder)) []section {
		h := holds
		change(&h)
		return []section{at(5), one(itemHolder, holder(h))}
	}
	dec := func(d decision) []byte { d.key = testKey(1); return appendDecision(nil, &d) }
	is := func(index uint64) meta { return metaOf(0, ReasonOperator, index) }
	good := Quiesce{ID: 5, Subject: off, Started: testStart, Deadline: testStart, Revision: 1}
	k := testKey(1)
	slotOf := func(m meta) section {
		b := appendU32(appendU32(appendU32(nil, 1), shardOf(hashKey(&k))), 1)
		b = appendU32(appendU32(append(b, k[:]...), 1), 9)
		return section{item: sectionTable, count: 1, content: appendU64(b, uint64(m))}
	}
	// What is here goes after names, rev and modules.
	tests := map[string][]section{
		"index before the revision":     {at(2)},
		"index of the revision":         {at(3)},
		"index to come":                 {at(8)},
		"index twice":                   {list(itemOperating, appendU64(nil, 5), appendU64(nil, 5))},
		"index cut off":                 {one(itemOperating, []byte{1})},
		"quiesce of nothing":            {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 5, Subject: Subject{Cluster: "c", Instance: "x"}}))},
		"quiesce of what is enabled":    {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 5, Subject: Subject{Cluster: "c", Instance: "i2"}}))},
		"quiesce twice":                 {at(5), list(itemQuiesce, quiesce(good), quiesce(good))},
		"quiesce to come":               {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 6, Subject: off, Started: testStart, Deadline: testStart}))},
		"quiesce started later":         {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 5, Subject: off, Started: later, Deadline: later}))},
		"quiesce that ends before":      {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 5, Subject: off, Started: testStart}))},
		"quiesce of a revision":         {at(5), one(itemQuiesce, quiesce(Quiesce{ID: 5, Subject: off, Revision: 2}))},
		"lock of nobody":                {at(5), one(itemLock, lock(Lock{ID: 5}))},
		"lock to come":                  {at(5), one(itemLock, lock(Lock{ID: 6, Owner: "a"}))},
		"lock since later":              {at(5), one(itemLock, lock(Lock{ID: 5, Owner: "a", Since: later}))},
		"lock with a long reason":       {at(5), one(itemLock, lock(Lock{ID: 5, Owner: "a", Reason: longer}))},
		"two locks":                     {at(5), list(itemLock, lock(Lock{ID: 5, Owner: "a"}), lock(Lock{ID: 5, Owner: "a"}))},
		"verdict on nobody":             {at(5), one(itemVerdict, verdict(Verdict{Instance: 7, State: HealthUp}))},
		"verdict in no state":           {at(5), one(itemVerdict, verdict(Verdict{Instance: 1, State: "sick"}))},
		"verdicts out of order":         {at(5), list(itemVerdict, verdict(Verdict{Instance: 2, State: HealthUp}), verdict(Verdict{Instance: 1, State: HealthUp}))},
		"verdict since later":           {at(5), one(itemVerdict, verdict(Verdict{Instance: 1, State: HealthUp, Since: later}))},
		"registered without id":         {at(5), one(itemRegistration, reg("c", `{"name":"r1"}`))},
		"registered, configured":        {at(5), one(itemRegistration, reg("c", `{"name":"i1"}`))},
		"registered in no cluster":      {at(5), one(itemRegistration, reg("d", `{"name":"i1"}`))},
		"registered no JSON":            {at(5), one(itemRegistration, reg("c", `{"name":"i1"}]}]}`))},
		"schedule without id":           {at(5), one(itemSchedule, sched(Schedule{At: testStart}))},
		"schedule without time":         {at(5), one(itemSchedule, sched(Schedule{ID: "s"}))},
		"schedule twice":                {at(5), list(itemSchedule, sched(Schedule{ID: "s", At: testStart}), sched(Schedule{ID: "s", At: later}))},
		"schedules out of order":        {at(5), list(itemSchedule, sched(Schedule{ID: "s", At: later}), sched(Schedule{ID: "t", At: testStart}))},
		"schedule of both":              {at(5), one(itemSchedule, sched(Schedule{ID: "s", At: testStart, rawConfig: []byte("{}")}))},
		"schedule made later":           {at(5), one(itemSchedule, sched(Schedule{ID: "s", At: testStart, Created: later}))},
		"schedule cut off":              {at(5), one(itemSchedule, sched(Schedule{ID: "s", At: testStart})[:40])},
		"workflow in no state":          {at(5), one(itemWorkflow, flow(Workflow{ID: "w", Kind: "k", Version: 5}))},
		"workflow to come":              {at(5), one(itemWorkflow, flow(Workflow{ID: "w", Kind: "k", State: "done", Version: 6}))},
		"workflow twice":                {at(5), list(itemWorkflow, flow(Workflow{ID: "w", Kind: "k", State: "done", Version: 5}), flow(Workflow{ID: "w", Kind: "k", State: "done", Version: 5}))},
		"shares of too much":            {at(5), list(itemShare, share(2, "n1", 3), share(2, "n2", 3))},
		"share of nobody":               {at(5), one(itemShare, share(7, "n1", 1))},
		"share for nobody":              {at(5), one(itemShare, share(2, "", 1))},
		"shares out of order":           {at(5), list(itemShare, share(2, "n2", 1), share(2, "n1", 1))},
		"share without bound":           {at(5), one(itemShare, share(1, "n1", 0))},
		"holder to come":                held(func(h *Holder) { h.Index = 6 }),
		"holder without index":          held(func(h *Holder) { h.Index = 0 }),
		"holder since later":            held(func(h *Holder) { h.Since = later }),
		"holder in no term":             held(func(h *Holder) { h.Term = 0 }),
		"holder of no name":             held(func(h *Holder) { h.Node = "n 2" }),
		"holder after no name":          held(func(h *Holder) { h.Previous = "-" }),
		"no holder and no reason":       held(func(h *Holder) { h.Node, h.Reason = "", "" }),
		"holder with a long reason":     held(func(h *Holder) { h.Reason = longer }),
		"holder of no address":          held(func(h *Holder) { h.Addresses = []string{""} }),
		"holder of too many":            held(func(h *Holder) { h.Addresses = make([]string, maxAddresses+1) }),
		"holder after a negative gap":   held(func(h *Holder) { h.Gap = -time.Millisecond }),
		"holder of negative sessions":   held(func(h *Holder) { h.SessionsBefore = -1 }),
		"holder cut off":                {at(5), one(itemHolder, holder(holds)[:30])},
		"holder and more":               {at(5), one(itemHolder, append(holder(holds), 0))},
		"two holders":                   {at(5), list(itemHolder, holder(holds), holder(holds))},
		"evacuation of no name":         {at(5), one(itemEvacuation, evacuation(Evacuation{Node: "."}))},
		"evacuation since later":        {at(5), one(itemEvacuation, evacuation(Evacuation{Node: "n1", Since: later}))},
		"evacuation with a long reason": {at(5), one(itemEvacuation, evacuation(Evacuation{Node: "n1", Reason: longer}))},
		"evacuation twice":              {at(5), list(itemEvacuation, evacuation(Evacuation{Node: "n1"}), evacuation(Evacuation{Node: "n1"}))},
		"evacuations out of order":      {at(5), list(itemEvacuation, evacuation(Evacuation{Node: "n2"}), evacuation(Evacuation{Node: "n1"}))},
		"holder without a change":       {one(itemHolder, holder(holds))},
		"revocation of no id":           {at(5), one(itemRevocation, revoked("n1", 5, testStart))},
		"revocation of no name":         {at(5), one(itemRevocation, revoked("-/1f", 5, testStart))},
		"revocation to come":            {at(5), one(itemRevocation, revoked("n1/1f", 6, testStart))},
		"revocation of no entry":        {at(5), one(itemRevocation, revoked("n1/1f", 0, testStart))},
		"revocation since later":        {at(5), one(itemRevocation, revoked("n1/1f", 5, later))},
		"revocation twice":              {at(5), list(itemRevocation, revoked("n1/1f", 5, testStart), revoked("n1/1f", 5, testStart))},
		"revocation cut off":            {at(5), one(itemRevocation, revoked("n1/1f", 5, testStart)[:20])},
		"revocations out of order":      {at(5), list(itemRevocation, revoked("n2/1f", 5, testStart), revoked("n1/1f", 5, testStart))},
		"backup of no name":             backed(func(b *Backups) { b.Node = "n 2" }),
		"backup without id":             backed(func(b *Backups) { b.ID = "" }),
		"backup too often":              backed(func(b *Backups) { b.Every = time.Millisecond }),
		"backup to come":                backed(func(b *Backups) { b.Begun = later }),
		"backup that ends later":        backed(func(b *Backups) { b.Ended = later }),
		"backup that ends before":       backed(func(b *Backups) { b.Ended = testStart.Add(-time.Second) }),
		"backup begun before the first": backed(func(b *Backups) { b.Begun = testStart.Add(-time.Second) }),
		"good backup to come":           backed(func(b *Backups) { b.Good = &GoodBackup{Node: "n1", Name: "a", Index: 1, Bytes: 1, At: later} }),
		"good backup of nothing":        backed(func(b *Backups) { b.Good = &GoodBackup{Node: "n1", Name: "a", Index: 1, At: testStart} }),
		"good backup of no index":       backed(func(b *Backups) { b.Good = &GoodBackup{Node: "n1", Name: "a", Bytes: 1, At: testStart} }),
		"good backup without name":      backed(func(b *Backups) { b.Good = &GoodBackup{Node: "n1", Index: 1, Bytes: 1, At: testStart} }),
		"running backup has failed":     backed(func(b *Backups) { b.Ended, b.Failure, b.Failures = time.Time{}, "r", 1 }),
		"failed backup never failed":    backed(func(b *Backups) { b.Failure = "r" }),
		"backup with a long failure":    backed(func(b *Backups) { b.Failure, b.Failures = longer, 1 }),
		"backup cut off":                {at(5), one(itemBackups, backups(good1)[:30])},
		"backup and more":               {at(5), one(itemBackups, append(backups(good1), 0))},
		"two backups":                   {at(5), list(itemBackups, backups(good1), backups(good1))},
		"item after the last":           {at(5), one(itemBackups+1, []byte{1})},
		"event zero":                    {one(itemEvent, event(0, 3, testStart))},
		"event gap":                     {list(itemEvent, event(1, 3, testStart), event(3, 3, testStart))},
		"event to come":                 {one(itemEvent, event(1, 8, testStart))},
		"event later":                   {one(itemEvent, event(1, 3, later))},
		"events back in time":           {list(itemEvent, event(1, 3, testStart), event(2, 3, testStart.Add(-1e9)))},
		"events begin late":             {one(itemEvent, event(2, 3, testStart))},
		"decision from nobody":          {one(itemDecision, dec(decision{to: 1, is: is(4)}))},
		"decision to unknown":           {one(itemDecision, dec(decision{from: 1, to: 9, is: is(4)}))},
		"decision that moves nobody":    {one(itemDecision, dec(decision{from: 1, to: 1, is: is(4)}))},
		"decision without index":        {one(itemDecision, dec(decision{from: 1, to: 2}))},
		"decision to come":              {one(itemDecision, dec(decision{from: 1, to: 2, is: is(8)}))},
		"decision before what it ends":  {one(itemDecision, dec(decision{from: 1, to: 2, is: is(4), was: is(5)}))},
		"decision without module":       {one(itemDecision, dec(decision{from: 1, to: 2, is: metaOf(9, ReasonOperator, 4)}))},
		"decision later":                {one(itemDecision, dec(decision{from: 1, to: 2, is: is(4), at: later.UnixMilli()}))},
		"decisions out of order":        {list(itemDecision, dec(decision{from: 1, to: 2, is: is(5)}), dec(decision{from: 2, to: 1, is: is(4)}))},
		"module gap":                    {list(itemModule, mod(3, "/b"))},
		"module twice":                  {list(itemModule, mod(2, "/a"))},
		"assignment without module":     {slotOf(metaOf(2, 0, 0))},
		"assignment to come":            {slotOf(is(8))},
		"assignment without reason":     {slotOf(5)},
		"table of version 1":            {{item: itemSlot, count: 1, content: slotOf(0).content[:len(slotOf(0).content)-4]}},
		"replicated time as section":    {one(itemNow, []byte{1})},
	}
	s := everything(t).s
	for name, sections := range tests {
		t.Run(name, func(t *testing.T) {
			all := append([]section{names, rev, modules}, sections...)
			err := wantRefused(t, s, forge(Digest{}, all...))
			if !errors.Is(err, ErrSnapshotDamaged) && !errors.Is(err, ErrSnapshotUnknown) || bytes.Contains([]byte(err.Error()), []byte("digest")) {
				t.Fatal(err)
			}
		})
	}
	// What is right but for the digest is refused for that alone.
	fine := []section{names, rev, modules, at(5), one(itemQuiesce, quiesce(good)), one(itemLock, lock(Lock{ID: 5, Owner: "a", Since: testStart})),
		one(itemVerdict, verdict(Verdict{Instance: 1, State: HealthFailed, Since: testStart})), one(itemSchedule, sched(Schedule{ID: "s", At: later, Created: testStart})),
		one(itemWorkflow, flow(Workflow{ID: "w", Kind: "k", State: "done", Version: 5})), list(itemShare, share(2, "n1", 3), share(2, "n2", 2)),
		one(itemEvent, event(1, 3, testStart)), one(itemDecision, dec(decision{from: 1, to: 2, is: is(4), was: is(4)})), slotOf(metaOf(1, ReasonOperator, 7)),
		one(itemHolder, holder(holds)), list(itemEvacuation, evacuation(Evacuation{Node: "N1", Since: testStart}), evacuation(Evacuation{Node: "n1"})), one(itemBackups, backups(good1)), list(itemRevocation, revoked("n1/1f", 5, testStart), revoked("n1/2f", 4, testStart))}
	if err := wantRefused(t, s, forge(Digest{}, fine...)); !bytes.Contains([]byte(err.Error()), []byte("digest")) {
		t.Fatal(err)
	}
}

// A newer version's snapshot is refused as such, and one of the first version with sections that it did not have too.
func TestRestoreVersions(t *testing.T) {
	good := snapshotBytes(t, everything(t).s)
	for _, v := range []byte{0, 3, 255} {
		b := bytes.Clone(good)
		b[8] = v
		if err := wantRefused(t, New(), b); !errors.Is(err, ErrSnapshotUnknown) {
			t.Fatalf("version %d: %v", v, err)
		}
	}
	b := bytes.Clone(good)
	b[8] = snapshotV1
	if err := wantRefused(t, New(), b); !errors.Is(err, ErrSnapshotUnknown) {
		t.Fatalf("version 1 with sections of version 2: %v", err)
	}
}

// Every part has its place in the digest.
func TestDigestCoversOperating(t *testing.T) {
	base := func() *replicaUnderTest {
		r := newReplicaUnderTest(t)
		r.change(func(c *config.Cluster) { c.Registration.Allow, c.Instances[0].MaxConnections = true, 5 })
		r.change(disableI1)
		r.ops(assign(1, 2))
		return r
	}
	var seen []Digest
	for name, change := range map[string]func(o *Operating){
		"nothing":      func(*Operating) {},
		"index":        func(o *Operating) { o.Index++ },
		"deadline":     func(o *Operating) { o.Quiesces = []Quiesce{o.Quiesces[0]}; o.Quiesces[0].Deadline = testStart },
		"no quiesce":   func(o *Operating) { o.Quiesces = nil },
		"lock":         func(o *Operating) { o.Lock = &Lock{ID: 1} },
		"verdict":      func(o *Operating) { o.Verdicts = []Verdict{{Instance: 1}} },
		"share":        func(o *Operating) { o.Shares = []Share{{Instance: 1}} },
		"registration": func(o *Operating) { o.Registered = []Registration{{Cluster: "c1"}} },
		"schedule":     func(o *Operating) { o.Schedules = []Schedule{{ID: "s"}} },
		"workflow":     func(o *Operating) { o.Workflows = []*Workflow{{ID: "w"}} },
		"holder":       func(o *Operating) { o.Holder = &Holder{Node: "n1"} },
		"gap":          func(o *Operating) { o.Holder = &Holder{Node: "n1", Gap: time.Millisecond} },
		"planned":      func(o *Operating) { o.Holder = &Holder{Node: "n1", Planned: true} },
		"address":      func(o *Operating) { o.Holder = &Holder{Node: "n1", Addresses: []string{"a"}} },
		"evacuation":   func(o *Operating) { o.Evacuated = []Evacuation{{Node: "n1"}} },
		"revocation":   func(o *Operating) { o.Revocations = []Revocation{{ID: "n1/1f"}} },
		"ACME value":   func(o *Operating) { o.ACMEValues = []ACMEValue{{Key: "a", Sealed: []byte("s")}} },
		"ACME lock":    func(o *Operating) { o.ACMELocks = []ACMELock{{Name: "a", ID: "1", Node: "n1"}} },
		"ACME state":   func(o *Operating) { o.ACMEStates = []ACMEState{{Certificate: "a", Failures: 1, Error: "e"}} },
		"backups":      func(o *Operating) { o.Backups = &Backups{ID: "b"} },
		"backup ended": func(o *Operating) { o.Backups = &Backups{ID: "b", Ended: testStart} },
		"backup again": func(o *Operating) { o.Backups = &Backups{ID: "b", Failures: 1} },
		"good backup":  func(o *Operating) { o.Backups = &Backups{ID: "b", Good: &GoodBackup{Bytes: 1}} },
	} {
		r := base()
		index := r.s.Operating().Index
		r.cur().operate(index, change)
		r.cur().publish(r.index + 1)
		if slices.Contains(seen, r.s.Digest()) {
			t.Errorf("%s: not in the digest", name)
		}
		seen = append(seen, r.s.Digest())
	}
	for name, change := range map[string]func(r *replicaUnderTest){
		"event":    func(r *replicaUnderTest) { r.cur().emit(r.index, Event{Kind: EventHealth}) },
		"decision": func(r *replicaUnderTest) { r.cur().decided(decision{from: 1, to: 2, is: metaOf(0, ReasonOperator, 4)}) },
		"meta": func(r *replicaUnderTest) {
			k := testKey(1)
			sh, i := r.cur().table.find(&k)
			next := sh.slots[i]
			next.meta++
			r.cur().table.update(sh, i, next)
		},
	} {
		r := base()
		change(r)
		r.cur().publish(r.index + 1)
		if slices.Contains(seen, r.s.Digest()) {
			t.Errorf("%s: not in the digest", name)
		}
		seen = append(seen, r.s.Digest())
	}
}
