package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// acmeEverything adds each thing that an ACME client keeps.
func acmeEverything(r *replicaUnderTest) {
	r.do(&ACMEStore{Key: "acme/ca/users/a.json", Sealed: []byte("sealed account")})
	r.do(&ACMEStore{Key: "acme/ca/challenge_tokens/shop.example.json", Sealed: []byte("sealed challenge")})
	r.do(&ACMELockSet{Name: "obtain/site", ID: "id 1", Node: "n1", Term: 3, TTL: time.Minute})
	r.do(&ACMENote{Certificate: "site", Error: "rateLimited", Pause: time.Hour})
}

func acmeConfig() *config.Config {
	c := testConfig()
	c.ACME = &config.ACME{Directory: config.LetsEncrypt, AcceptTerms: true, Challenges: []string{"http-01"}, Certificates: []config.ACMECertificate{{Name: "site", Hosts: []string{"shop.example"}, Key: "ecdsa-p256"}}}
	return c
}

func acmeKeys(r *replicaUnderTest) string {
	var keys []string
	for _, v := range r.s.Operating().ACMEValues {
		keys = append(keys, v.Key+"="+string(v.Sealed))
	}
	return strings.Join(keys, " ")
}

// TestACMEValues: they are kept by key in order, replaced, and dropped with all that is below a key.
func TestACMEValues(t *testing.T) {
	r := newReplicaUnderTest(t)
	for i, key := range []string{"a/b/c", "a", "a/b", "ab/c", "a-b"} {
		r.wantCode(r.do(&ACMEStore{Key: key, Sealed: []byte(fmt.Sprint(i))}), CodeOK, "")
	}
	r.at(time.Minute)
	r.wantCode(r.do(&ACMEStore{Key: "a", Sealed: []byte("other")}), CodeOK, "")
	if got := acmeKeys(r); got != "a=other a-b=4 a/b=2 a/b/c=0 ab/c=3" {
		t.Fatal(got)
	}
	if v := r.s.Operating().ACMEValue("a"); !v.Modified.Equal(r.now) || r.s.Operating().ACMEValue("b") != nil {
		t.Errorf("%+v", v)
	}
	r.survives()
	r.wantCode(r.do(&ACMEDelete{Key: "a/b"}), CodeOK, "")
	r.wantCode(r.do(&ACMEDelete{Key: "none"}), CodeOK, "")
	if got := acmeKeys(r); got != "a=other a-b=4 ab/c=3" {
		t.Error(got)
	}
	r.wantCode(r.do(&ACMEDelete{Key: "a"}), CodeOK, "")
	if got := acmeKeys(r); got != "a-b=4 ab/c=3" {
		t.Error(got)
	}
	if n := r.s.LastEvent(); n != 0 {
		t.Errorf("%d events of what the client keeps", n)
	}
	for range 2 { // the second time it is sent again
		r.wantCode(r.do(&ACMEStore{Key: "external/01", Sealed: []byte("key"), Actor: "user alice (token ab)"}), CodeOK, "")
	}
	if e := r.lastEvent(EventCertificate); e.Actor != "user alice (token ab)" || e.Text != "Key of an external account of the authority set by user alice (token ab)" || r.s.LastEvent() != 1 {
		t.Errorf("%+v", e)
	}
	r.survives()
}

// TestACMELocks: one holder at a time; a lock ends by time, by its holder, or with its term.
func TestACMELocks(t *testing.T) {
	r := newReplicaUnderTest(t)
	lock := func(id string, term uint64, ttl time.Duration) *ACMELockSet {
		return &ACMELockSet{Name: "obtain/site", ID: id, Node: "n" + fmt.Sprint(term), Term: term, TTL: ttl}
	}
	r.wantCode(r.do(lock("a", 1, time.Minute)), CodeOK, "")
	r.wantCode(r.do(lock("b", 1, time.Minute)), CodeConflict, "node n1 has the lock obtain/site until")
	r.wantCode(r.do(lock("b", 1, 0)), CodeConflict, "node n1 has the lock")
	r.at(50 * time.Second)
	r.wantCode(r.do(lock("a", 1, time.Minute)), CodeOK, "") // prolonged
	r.at(70 * time.Second)
	r.wantCode(r.do(lock("b", 1, time.Minute)), CodeConflict, "")
	r.survives()
	r.wantCode(r.do(lock("c", 2, time.Minute)), CodeOK, "") // the next leader does not wait
	r.wantCode(r.do(lock("a", 1, time.Minute)), CodeConflict, "node n2")
	r.wantCode(r.do(lock("a", 1, 0)), CodeConflict, "node n2")
	r.at(3 * time.Minute)
	r.wantCode(r.do(lock("d", 2, time.Minute)), CodeOK, "") // it has ended
	r.wantCode(r.do(lock("d", 2, 0)), CodeOK, "")
	r.wantCode(r.do(lock("d", 2, 0)), CodeOK, "") // again, as after an answer that was lost
	if n := len(r.s.Operating().ACMELocks); n != 0 {
		t.Errorf("%d locks are left", n)
	}
	for i := range maxACMELocks {
		r.wantCode(r.do(&ACMELockSet{Name: fmt.Sprint(i), ID: "x", Node: "n1", Term: 2, TTL: time.Minute}), CodeOK, "")
	}
	r.wantCode(r.do(lock("e", 2, time.Minute)), CodeInvalid, "the most that a group keeps")
	r.at(5 * time.Minute)
	r.wantCode(r.do(lock("e", 2, time.Minute)), CodeOK, "") // those that have ended make room
	if n := len(r.s.Operating().ACMELocks); n != 1 {
		t.Errorf("%d locks are left", n)
	}
	r.survives()
}

// TestACMEStates: failures are counted, told once as long as they are the same, and forgotten with the first success.
func TestACMEStates(t *testing.T) {
	r := newReplicaUnderTest(t)
	renew := func(name string) Result { return r.do(&ACMERenew{Certificate: name, Actor: "admin"}) }
	r.wantCode(renew("site"), CodeAbsent, "is none that the group obtains itself")
	r.wantCode(r.do(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: acmeConfig()}), CodeOK, "")
	r.wantCode(renew("site"), CodeOK, "")
	if s := r.s.Operating().ACMEState("site"); s == nil || !s.Requested.Equal(r.now) || s.Failures != 0 {
		t.Fatalf("%+v", s)
	}
	r.survives()
	for i := range 3 {
		r.at(time.Duration(i+1) * time.Hour)
		r.wantCode(r.do(&ACMENote{Certificate: "site", Error: "no answer", Pause: time.Hour}), CodeOK, "")
	}
	s := r.s.Operating().ACMEState("site")
	if s.Failures != 3 || s.Error != "no answer" || !s.At.Equal(r.now) || !s.Next.Equal(r.now.Add(time.Hour)) || s.Requested.IsZero() {
		t.Fatalf("%+v", s)
	}
	r.survives()
	r.wantCode(r.do(&ACMENote{Certificate: "site", Error: "rateLimited", Pause: 2 * time.Hour}), CodeOK, "")
	r.wantCode(renew("site"), CodeOK, "")
	if s := r.s.Operating().ACMEState("site"); !s.Next.IsZero() || s.Failures != 4 {
		t.Errorf("%+v", s)
	}
	r.wantCode(r.do(&ACMENote{Certificate: "site"}), CodeOK, "")
	r.wantCode(r.do(&ACMENote{Certificate: "site"}), CodeOK, "")
	if n := len(r.s.Operating().ACMEStates); n != 0 {
		t.Errorf("%d states are left", n)
	}
	put := testCertificate("site", 0, "sealed")
	put.Actor = ActorACME
	r.wantCode(r.do(put), CodeOK, "")
	put.Expect = r.index
	r.wantCode(r.do(put), CodeOK, "")
	var texts []string
	for _, e := range r.eventsOf(EventCertificate) {
		texts = append(texts, e.Text)
	}
	want := []string{"Certificate site is to be renewed by admin", "Certificate site could not be obtained, the next attempt is at 2026-03-01T14:00:00Z: no answer",
		"Certificate site could not be obtained, the next attempt is at 2026-03-01T17:00:00Z: rateLimited", "Certificate site is to be renewed by admin",
		"Certificate site obtained by acme", "Certificate site renewed by acme"}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
}

// TestACMENames: a listener may name what is still to be obtained; what it is verified by must be there, and stay.
func TestACMENames(t *testing.T) {
	r := newReplicaUnderTest(t)
	try := func(code Code, says string, change func(*config.Config)) {
		t.Helper()
		c := acmeConfig()
		c.Listeners = secureConfig([]string{"site"}, nil).Listeners
		change(c)
		r.wantCode(r.do(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: c}), code, says)
	}
	try(CodeInvalid, "there is no certificate other", func(c *config.Config) { c.Listeners[len(c.Listeners)-1].Certificates = []string{"site", "other"} })
	try(CodeInvalid, "listeners[0].certificates[0]: there is no certificate site", func(c *config.Config) { c.ACME = nil })
	try(CodeInvalid, "acme.authorities[0]: there is no certificate ca", func(c *config.Config) { c.ACME.Authorities = []string{"ca"} })
	r.wantCode(r.do(testCertificate("ca", 0, "")), CodeOK, "")
	try(CodeInvalid, "acme.certificates[0].name: certificate ca is a bundle of authorities", func(c *config.Config) {
		c.ACME.Certificates[0].Name, c.Listeners = "ca", nil
	})
	try(CodeOK, "", func(c *config.Config) { c.ACME.Authorities = []string{"ca"} })
	r.wantCode(r.do(&CertificateDrop{Name: "ca", Actor: "admin"}), CodeConflict, "acme.authorities names certificate ca")
	try(CodeInvalid, "there is no certificate site", func(c *config.Config) { c.ACME = nil })
	r.survives()
}

// TestHostileACME: nothing lets the state grow without limit, and what is refused changes nothing.
func TestHostileACME(t *testing.T) {
	r := newReplicaUnderTest(t)
	long := strings.Repeat("x", maxACMEKey+1)
	for _, key := range []string{"", "/a", "a/", "a//b", "a b", "ü", "a\x00", long} {
		for _, c := range []Command{&ACMEStore{Key: key, Sealed: []byte("s")}, &ACMEDelete{Key: key}, &ACMELockSet{Name: key, ID: "i", Node: "n1", TTL: 1}} {
			if res := r.do(c); res.Code != CodeInvalid {
				t.Errorf("%T %q: %+v", c, key, res)
			}
		}
	}
	for _, c := range []Command{
		&ACMEStore{Key: "a"}, &ACMEStore{Key: "a", Sealed: make([]byte, maxACMEValue+1)},
		&ACMELockSet{Name: "a", Node: "n1", TTL: 1}, &ACMELockSet{Name: "a", ID: "i", TTL: 1}, &ACMELockSet{Name: "a", ID: "i", Node: "n1", TTL: -1},
		&ACMELockSet{Name: "a", ID: "i", Node: "n1", TTL: maxACMETTL + 1}, &ACMELockSet{Name: "a", ID: strings.Repeat("x", maxNameBytes+1), Node: "n1", TTL: 1},
		&ACMENote{Error: "e"}, &ACMENote{Certificate: "a b", Error: "e"}, &ACMENote{Certificate: "a", Error: strings.Repeat("x", maxTextBytes+1)},
		&ACMENote{Certificate: "a", Error: "e", Pause: -1}, &ACMENote{Certificate: "a", Error: "e", Pause: maxACMEPause + 1},
		&ACMEStore{Key: "a", Sealed: []byte{1}, Actor: strings.Repeat("x", maxNameBytes+1)}, &ACMERenew{}, &ACMERenew{Certificate: "a", Actor: strings.Repeat("x", maxNameBytes+1)},
	} {
		if res := r.do(c); res.Code != CodeInvalid {
			t.Errorf("%+v: %+v", c, res)
		}
	}
	if o := r.s.Operating(); len(o.ACMEValues)+len(o.ACMELocks)+len(o.ACMEStates) != 0 || r.s.LastEvent() != 0 {
		t.Error("something is left")
	}
	for i := range maxACMESize / maxACMEValue {
		res := r.do(&ACMEStore{Key: fmt.Sprint(i), Sealed: make([]byte, maxACMEValue)})
		if last := i == maxACMESize/maxACMEValue-1; (res.Code != CodeOK) != last {
			t.Fatalf("%d: %+v", i, res)
		}
	}
	r.survives()
	for i := range maxACMEStates {
		r.wantCode(r.do(&ACMENote{Certificate: fmt.Sprint("c", i), Error: "e"}), CodeOK, "")
	}
	r.wantCode(r.do(&ACMENote{Certificate: "more", Error: "e"}), CodeInvalid, "the most that a group does")
}

// TestImpossibleACMEItems: a snapshot of what no state can have is refused.
func TestImpossibleACMEItems(t *testing.T) {
	later := testStart.Add(time.Hour)
	value, lock, state := ACMEValue{Key: "a", Sealed: []byte("s"), Modified: testStart}, ACMELock{Name: "a", ID: "i", Node: "n1", Until: later}, ACMEState{Certificate: "a", Failures: 1, Error: "e", At: testStart}
	try := func(forms ...[]byte) bool {
		r := &restorer{r: &replica{}}
		r.r.now.Store(testStart.UnixMilli())
		for _, b := range forms {
			if !r.acmeItem(b) {
				return false
			}
		}
		return r.acmeProblem() == ""
	}
	good := [][]byte{appendACMEValue(nil, &value), appendACMELock(nil, &lock), appendACMEState(nil, &state)}
	if !try(good...) {
		t.Fatal("what is possible is refused")
	}
	for i, b := range good {
		if try(b, b) || try(b[:len(b)-1]) || try(append(slices.Clone(b), 0)) {
			t.Errorf("form %d: twice, cut off or too long", i+1)
		}
	}
	valueLater, noKey, endless := value, value, lock
	valueLater.Modified, noKey.Key, endless.Until = later, "", time.Time{}
	said, stateLater := state, state
	said.Error, stateLater.At = "", later
	for name, b := range map[string][]byte{
		"nothing": nil, "an unknown kind": {9}, "a value to come": appendACMEValue(nil, &valueLater), "a value without a key": appendACMEValue(nil, &noKey),
		"a lock without an end": appendACMELock(nil, &endless), "a failure without words": appendACMEState(nil, &said), "a failure to come": appendACMEState(nil, &stateLater),
	} {
		if try(b) {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestGoldenACME: what certificates that the group obtains itself brought to the fourth version.
func TestGoldenACME(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, entries := range [][]goldenEntry{goldenV1(t), goldenV2(t), goldenV3(t)} {
		applyGolden(t, r, entries)
	}
	at := testStart.Add(6 * time.Second)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_acme_store.entry", bytes: mustEncode(t, at, &ACMEStore{Key: "acme/ca/users/a.json", Sealed: []byte("sealed account")}), code: CodeOK},
		{file: "v4_acme_delete.entry", bytes: mustEncode(t, at, &ACMEDelete{Key: "acme/ca/challenge_tokens"}), code: CodeOK},
		{file: "v4_acme_lock_set.entry", bytes: mustEncode(t, at, &ACMELockSet{Name: "obtain/site", ID: "id 1", Node: "n1", Term: 3, TTL: time.Minute}), code: CodeOK},
		{file: "v4_acme_note.entry", bytes: mustEncode(t, at, &ACMENote{Certificate: "site", Error: "no answer", Pause: time.Hour}), code: CodeOK},
		{file: "v4_acme_renew.entry", bytes: mustEncode(t, at, &ACMERenew{RequestID: testRequestID(61), Certificate: "none", Actor: "admin"}), code: CodeAbsent},
	})
	if o := r.s.Operating(); len(o.ACMEValues) != 1 || len(o.ACMELocks) != 1 || len(o.ACMEStates) != 1 {
		t.Fatalf("something is missing: %+v", o)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_acme.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v4_acme.snapshot", snapshotBytes(t, r.s))), r.s)
}

// genACME draws a command of an ACME client, of few keys, locks and holders.
func genACME(t *rapid.T, id RequestID, certificate string) Command {
	key := rapid.SampledFrom([]string{"a", "a/b", "a/c", "b", "a//b"}).Draw(t, "key")
	switch rapid.SampledFrom([]int{0, 0, 1, 2, 2, 3, 4}).Draw(t, "of ACME") {
	case 0:
		return &ACMEStore{Key: key, Sealed: []byte(rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "sealed")), Actor: rapid.SampledFrom([]string{"", "a"}).Draw(t, "actor")}
	case 1:
		return &ACMEDelete{Key: key}
	case 2:
		return &ACMELockSet{Name: key, ID: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "holder"), Node: "n1", Term: uint64(rapid.IntRange(1, 3).Draw(t, "term")),
			TTL: rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "ttl")}
	case 3:
		return &ACMENote{Certificate: certificate, Error: rapid.SampledFrom([]string{"", "e1", "e2"}).Draw(t, "error"), Pause: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "pause")}
	}
	return &ACMERenew{RequestID: id, Certificate: certificate, Actor: "a"}
}
