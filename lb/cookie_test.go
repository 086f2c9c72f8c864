package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

func testKeyring(t testing.TB, secret string) *keyring {
	t.Helper()
	k, err := newKeyring(&fsm.Group{Epoch: 1, Secret: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCookieRoundTrip(t *testing.T) {
	k, scope := testKeyring(t, "secret"), scopeOf("c1", "", "/")
	for _, want := range []Cookie{
		{}, {Epoch: 1, Index: 7, Instance: 3, Key: fsm.Key{1, 2, 3}},
		{Epoch: 1<<32 - 1, Index: 1<<64 - 1, Instance: 1<<32 - 1, Key: fsm.Key{255, 15: 255}, Provisional: true},
		{Epoch: 4, Index: 9, Instance: 3, Key: fsm.Key{4}, Line: 1<<32 - 1, Born: 7}, {Epoch: 4, Line: 5, Provisional: true}, {Born: 1},
	} {
		value := k.seal(want, scope)
		got, err := k.open(value, scope)
		if err != nil || got != want {
			t.Errorf("open(seal(%+v)) = %+v, %v", want, got, err)
		}
		if value == k.seal(want, scope) {
			t.Error("two cookies are the same")
		}
	}
}

func TestCookieEveryByteCounts(t *testing.T) {
	k, scope := testKeyring(t, "secret"), scopeOf("c1", "", "/")
	for _, c := range []Cookie{{Epoch: 1, Index: 7, Instance: 3}, {Epoch: 2, Line: 5, Index: 7, Instance: 3, Born: 5}} {
		everyByteCounts(t, k, k.seal(c, scope), scope)
	}
}

func everyByteCounts(t *testing.T, k *keyring, value string, scope []byte) {
	raw, err := cookieEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := k.open(cookieEncoding.EncodeToString(raw), scope); err == nil {
				t.Errorf("bit %d of byte %d does not matter", bit, i)
			}
			raw[i] ^= 1 << bit
		}
	}
	for n := range len(value) {
		if _, err := k.open(value[:n], scope); err == nil {
			t.Errorf("opens when cut to %d", n)
		}
	}
	if _, err := testKeyring(t, "secret2").open(value, scope); err == nil {
		t.Error("opens with another group's key")
	}
	if _, err := k.open(value, scopeOf("c1", "", "/a")); err == nil {
		t.Error("opens in another scope")
	}
}

// The mutant must decrypt what the true code would, or the kill test proves nothing.
func TestUnsealUncheckedIsTheSameCipher(t *testing.T) {
	k, scope := testKeyring(t, "secret"), scopeOf("c1", "", "/")
	raw, err := cookieEncoding.DecodeString(k.seal(Cookie{Epoch: 9, Index: 7, Instance: 3}, scope))
	if err != nil {
		t.Fatal(err)
	}
	nonce, sealed := raw[1:1+cookieNonceLen], raw[1+cookieNonceLen:]
	want, err := k.aead.Open(nil, nonce, sealed, scope)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	unsealUnchecked(k.block, got, nonce, sealed)
	if string(got) != string(want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// Keys are in the replicated state of every group: they must never change.
func TestSessionKeyIsFixed(t *testing.T) {
	g := &fsm.Group{Secret: []byte("0123456789abcdef0123456789abcdef")}
	got := SessionKey(g, "cluster1", "WWW.Example.com:80", "/fortune/", "ABC123")
	if want := "2a3fe47c81a6afd1092b8115da473c3d"; got.String() != want {
		t.Errorf("session key %s, want %s", got, want)
	}
	if got != SessionKey(g, "cluster1", "www.example.com", "fortune", "ABC123") {
		t.Error("the spelling of the scope matters")
	}
	seen := map[fsm.Key]bool{got: true}
	for _, other := range [][4]string{{"cluster2", "www.example.com", "/fortune", "ABC123"}, {"cluster1", "", "/fortune", "ABC123"},
		{"cluster1", "www.example.com", "/", "ABC123"}, {"cluster1", "www.example.com", "/fortune", "abc123"}} {
		key := SessionKey(g, other[0], other[1], other[2], other[3])
		if seen[key] {
			t.Errorf("%v has the key of another", other)
		}
		seen[key] = true
	}
	if SessionKey(nil, "a", "b", "c", "d") != (fsm.Key{}) {
		t.Error("a key without a group")
	}
}

// goldenCookie and goldenCookie2 were sealed with the secret "secret" for the module / of c1, in the two versions. Cookies live in browsers: these must open for ever.
const (
	goldenCookie  = "AYqOvUZSZWnJ3YA8rCqysFhCIGwS5-FUQSIN_PqKL-6LKs-28W9cU-997HKBuyKg9xvgfI4XA_qIQR4jbDU"
	goldenCookie2 = "AlRl_F1zTSwKM4BHNFfAAkilSBpeB_U7AN6dKFI0hTOkagUg_odXkj1Z-6R6JyRuS4Qvdb2rLTzQx7kgGKxYO-PaiME5UA"
)

func TestGoldenCookieOpens(t *testing.T) {
	got, err := testKeyring(t, "secret").open(goldenCookie, scopeOf("c1", "", "/"))
	if want := (Cookie{Epoch: 1, Index: 2, Instance: 3}); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	got, err = testKeyring(t, "secret").open(goldenCookie2, scopeOf("c1", "", "/"))
	if want := (Cookie{Epoch: 3, Line: 0x11223344, Index: 2, Instance: 3, Born: 0x55667788, Key: fsm.Key{1}}); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
}

func FuzzCookieOpen(f *testing.F) {
	k, scope := testKeyring(f, "secret"), scopeOf("c1", "", "/")
	for _, s := range []string{"", "x", goldenCookie, goldenCookie[1:], goldenCookie[:len(goldenCookie)-1] + "\n", goldenCookie2, goldenCookie2[:len(goldenCookie)], "A" + goldenCookie2[1:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := k.open(value, scope); err == nil && value != goldenCookie && value != goldenCookie2 {
			t.Fatalf("a cookie that was never sealed opens: %q", value)
		}
	})
}
