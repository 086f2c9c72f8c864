package fsm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func testCertificate(name string, expect uint64, key string) *CertificatePut {
	return &CertificatePut{Expect: expect, Name: name, Chain: [][]byte{[]byte("leaf of " + name), []byte("issuer")}, Key: []byte(key), Actor: "admin"}
}

func secureConfig(certificates, authorities []string) *config.Config {
	c := testConfig()
	l := config.Listener{Name: "webs", Address: ":8443", Protocol: "https", Certificates: certificates, TLS: &config.TLS{MinVersion: "1.2", Handshakes: 1}}
	l.TLS.ClientCertificates.Authorities = authorities
	c.Listeners = append(c.Listeners, l)
	return c
}

// TestCertificates: UCD-20, UCD-21. Certificates are added, rotated and removed by name, with compare-and-swap, and a listener never names one that is not there.
func TestCertificates(t *testing.T) {
	r := newReplicaUnderTest(t)
	want := func(c Command, code Code, says string) Result {
		t.Helper()
		res := r.do(c)
		if res.Code != code || !strings.Contains(res.Message, says) {
			t.Fatalf("%+v: %+v, want %d %q", c, res, code, says)
		}
		r.survives()
		return res
	}
	use := func(code Code, says string, certificates, authorities []string) {
		t.Helper()
		want(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: secureConfig(certificates, authorities)}, code, says)
	}
	use(CodeInvalid, "listeners[0].certificates[0]: there is no certificate site", []string{"site"}, nil)
	first := want(testCertificate("site", 0, "sealed"), CodeOK, "")
	want(testCertificate("site", 0, "sealed"), CodeConflict, "there is a certificate site")
	want(testCertificate("site", first.Index-1+7, "sealed"), CodeConflict, "changed meanwhile, by admin")
	want(testCertificate("other", 7, "sealed"), CodeConflict, "no certificate other any more")
	want(testCertificate("ca", 0, ""), CodeOK, "")
	want(testCertificate("site", first.Index, ""), CodeInvalid, "cannot become a bundle of authorities")
	use(CodeInvalid, "listeners[0].certificates[1]: certificate ca is a bundle of authorities", []string{"site", "ca"}, nil)
	use(CodeInvalid, "clientCertificates.authorities[0]: certificate site is a certificate of servers", []string{"site"}, []string{"site"})
	use(CodeOK, "", []string{"site"}, []string{"ca"})
	want(&CertificateDrop{Name: "site", Actor: "admin"}, CodeConflict, "listener webs names certificate site")
	want(&CertificateDrop{Name: "ca", Actor: "admin"}, CodeConflict, "listener webs names certificate ca")
	want(&CertificateDrop{Name: "none", Actor: "admin"}, CodeAbsent, "there is no certificate none")
	verified := secureConfig([]string{"site"}, nil)
	verified.Clusters = []config.Cluster{{Name: "c1", InstanceTLS: &config.InstanceTLS{Authorities: []string{"none"}}}}
	want(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: verified}, CodeInvalid, "clusters[0].instanceTLS.authorities[0]: there is no certificate none")
	verified.Clusters[0].InstanceTLS.Authorities[0] = "ca"
	want(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: verified}, CodeOK, "")
	want(&CertificateDrop{Name: "ca", Actor: "admin"}, CodeConflict, "cluster c1 names certificate ca")
	r.at(time.Hour)
	want(testCertificate("site", first.Index, "sealed anew"), CodeOK, "")
	c := r.s.Operating().Certificate("site")
	if c == nil || string(c.Key) != "sealed anew" || c.Version != r.index || !c.Changed.Equal(r.now) || r.s.Operating().Index != r.index {
		t.Fatalf("%+v", c)
	}
	want(&ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: testConfig()}, CodeOK, "")
	want(&CertificateDrop{Name: "site", Actor: "admin"}, CodeOK, "")
	want(&CertificateDrop{Name: "ca", Actor: "admin"}, CodeOK, "")
	if n := len(r.s.Operating().Certificates); n != 0 {
		t.Errorf("%d are left", n)
	}
	var texts []string
	for _, e := range r.eventsOf(EventCertificate) {
		texts = append(texts, e.Text)
	}
	if got := strings.Join(texts, "; "); got != "Certificate site added by admin; Certificate ca added by admin; Certificate site rotated by admin; Certificate site removed by admin; Certificate ca removed by admin" {
		t.Error(got)
	}
}

// TestHostileCertificates: nothing lets the state grow without limit, and what is refused changes nothing.
func TestHostileCertificates(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, name := range []string{"", "a b", "-x", "ü", strings.Repeat("x", 64), "a\x00", "../x"} {
		if res := r.do(testCertificate(name, 0, "k")); res.Code != CodeInvalid {
			t.Errorf("name %q: %+v", name, res)
		}
	}
	many := make([][]byte, maxCertificateParts+1)
	for i := range many {
		many[i] = []byte("x")
	}
	for what, c := range map[string]*CertificatePut{
		"nothing":   {Name: "a"},
		"empty":     {Name: "a", Chain: [][]byte{{}}},
		"many":      {Name: "a", Chain: many},
		"large":     {Name: "a", Chain: [][]byte{make([]byte, maxCertificateBytes+1)}},
		"large key": {Name: "a", Chain: [][]byte{{1}}, Key: make([]byte, maxSealedKey+1)},
		"actor":     {Name: "a", Chain: [][]byte{{1}}, Actor: strings.Repeat("x", maxNameBytes+1)},
	} {
		if res := r.do(c); res.Code != CodeInvalid {
			t.Errorf("%s: %+v", what, res)
		}
	}
	full := func(size, fits int, says string) {
		r := newReplicaUnderTest(t)
		for i := range fits {
			if res := r.do(&CertificatePut{Name: fmt.Sprint("c", i), Chain: [][]byte{make([]byte, size)}}); res.Code != CodeOK {
				t.Fatalf("%d: %+v", i, res)
			}
		}
		if res := r.do(&CertificatePut{Name: "more", Chain: [][]byte{make([]byte, size)}}); res.Code != CodeInvalid || !strings.Contains(res.Message, says) {
			t.Errorf("%+v", res)
		}
		r.survives()
	}
	full(1, maxCertificates, "the most that a group keeps")
	full(maxCertificateBytes, maxCertificatesSize/maxCertificateBytes, "all certificates have")
	if len(r.s.Operating().Certificates) != 0 || r.s.LastEvent() != 0 {
		t.Error("something is left")
	}
}

// TestTicketKeys: a new one takes its turn once, the newest three are kept.
func TestTicketKeys(t *testing.T) {
	r := newReplicaUnderTest(t)
	last := uint64(0)
	for i := range 5 {
		r.at(time.Duration(i) * time.Hour)
		put := &TicketKeyPut{Expect: last, Key: []byte(fmt.Sprint("sealed ", i))}
		if res := r.do(put); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
		last = r.index
		if res := r.do(put); res.Code != CodeConflict {
			t.Errorf("again: %+v", res)
		}
		r.survives()
	}
	keys := r.s.Operating().TicketKeys
	if len(keys) != maxTicketKeys || string(keys[0].Key) != "sealed 4" || string(keys[2].Key) != "sealed 2" || keys[0].ID != last || !keys[0].Since.Equal(r.now) {
		t.Errorf("%+v", keys)
	}
	for _, bad := range []*TicketKeyPut{{Expect: last}, {Expect: last, Key: make([]byte, maxNameBytes+1)}} {
		if res := r.do(bad); res.Code != CodeInvalid {
			t.Errorf("%+v", res)
		}
	}
}

// TestRestoredCertificates: a restore into the running group brings back what the archive's configuration names, and no certificate that has been rotated since.
func TestRestoredCertificates(t *testing.T) {
	cert := func(name, key string, version uint64) Certificate {
		return Certificate{Name: name, Chain: [][]byte{{1}}, Key: []byte(key), Version: version}
	}
	got := restoredCertificates([]Certificate{cert("b", "rotated", 9), cert("c", "only here", 8)}, []Certificate{cert("a", "dropped since", 3), cert("b", "before", 2)}, 20)
	var text []string
	for _, c := range got {
		text = append(text, fmt.Sprintf("%s %s %d", c.Name, c.Key, c.Version))
	}
	if s := strings.Join(text, "; "); s != "a dropped since 20; b rotated 9; c only here 8" {
		t.Error(s)
	}
}

// TestGoldenCertificates: what certificates brought to the fourth version.
func TestGoldenCertificates(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, entries := range [][]goldenEntry{goldenV1(t), goldenV2(t), goldenV3(t)} {
		applyGolden(t, r, entries)
	}
	at := testStart.Add(6 * time.Second)
	put := testCertificate("site", 0, "sealed")
	put.RequestID = testRequestID(40)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_certificate_put.entry", bytes: mustEncode(t, at, put), code: CodeOK},
		{file: "v4_authorities_put.entry", bytes: mustEncode(t, at, &CertificatePut{RequestID: testRequestID(41), Name: "ca", Chain: [][]byte{[]byte("authority")}, Actor: "admin"}), code: CodeOK},
		{file: "v4_certificate_drop.entry", bytes: mustEncode(t, at, &CertificateDrop{RequestID: testRequestID(42), Name: "none", Actor: "admin"}), code: CodeAbsent},
		{file: "v4_ticket_key_put.entry", bytes: mustEncode(t, at, &TicketKeyPut{Key: []byte("sealed key")}), code: CodeOK},
	})
	if o := r.s.Operating(); len(o.Certificates) != 2 || len(o.TicketKeys) != 1 {
		t.Fatalf("something is missing: %+v", o)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_certificates.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v4_certificates.snapshot", snapshotBytes(t, r.s))), r.s)
}
