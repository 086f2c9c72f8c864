package lb

import (
	"fmt"
	"strings"
	"testing"
)

var bothCodings = []coding{codingZstd, codingGzip}

func TestAcceptEncoding(t *testing.T) {
	many := strings.Repeat("gzip, ", maxAcceptMembers) + "gzip"
	for _, c := range []struct {
		lines []string
		want  coding
	}{
		{nil, codingNone}, {[]string{""}, codingNone}, {[]string{" , ,\t"}, codingNone},
		{[]string{"gzip"}, codingGzip}, {[]string{"GZip"}, codingGzip}, {[]string{"x-gzip"}, codingGzip}, {[]string{"zstd"}, codingZstd},
		{[]string{"gzip, deflate, br, zstd"}, codingZstd}, {[]string{"gzip", "zstd"}, codingZstd}, {[]string{",gzip,"}, codingGzip},
		{[]string{"gzip;q=1.0, zstd;q=0.5"}, codingGzip}, {[]string{"gzip;q=0.001"}, codingGzip}, {[]string{"gzip ; q=0.5 , zstd;Q=0.6"}, codingZstd},
		{[]string{"gzip;q=0"}, codingNone}, {[]string{"gzip;q=0.000, zstd;q=0."}, codingNone}, {[]string{"br, deflate"}, codingNone},
		{[]string{"identity"}, codingNone}, {[]string{"identity;q=0"}, codingNone}, {[]string{"identity;q=0, gzip"}, codingGzip},
		{[]string{"identity, gzip;q=0.5"}, codingNone}, {[]string{"identity;q=0.5, gzip;q=0.5"}, codingGzip}, {[]string{"identity;q=0.5, gzip;q=0.4"}, codingNone},
		{[]string{"*"}, codingGzip}, {[]string{"*;q=0"}, codingNone}, {[]string{"*;q=0, gzip"}, codingGzip}, {[]string{"gzip;q=0, *"}, codingNone}, {[]string{"zstd, *;q=0"}, codingZstd},
		{[]string{"*;q=0.5, identity;q=0.6"}, codingNone},
		// Two weights for one: the lesser one counts.
		{[]string{"gzip;q=1, gzip;q=0"}, codingNone}, {[]string{"gzip;q=0", "gzip"}, codingNone}, {[]string{"gzip, x-gzip;q=0"}, codingNone},
		// What is no list of codings is not obeyed.
		{[]string{"gzip;q=2"}, codingNone}, {[]string{"gzip;q=1.001"}, codingNone}, {[]string{"gzip;q=0.1234"}, codingNone}, {[]string{"gzip;q=-1"}, codingNone}, {[]string{"gzip;q="}, codingNone},
		{[]string{"gzip;q=NaN"}, codingNone}, {[]string{"gzip;q=.5"}, codingNone}, {[]string{"gzip;q=1e0"}, codingNone}, {[]string{"gzip;q=0,5"}, codingNone}, {[]string{"gzip;level=9"}, codingNone},
		{[]string{"gzip;q=1;q=1"}, codingNone}, {[]string{"gzip;"}, codingNone}, {[]string{"g zip, zstd"}, codingNone}, {[]string{"\"gzip\""}, codingNone}, {[]string{"gzip\x00"}, codingNone},
		{[]string{";q=1, gzip"}, codingNone}, {[]string{"gzïp, gzip"}, codingNone}, {[]string{"gzip;q =1"}, codingNone},
		// Bombs.
		{[]string{many}, codingNone}, {[]string{strings.Repeat(",", maxAcceptLen) + "gzip"}, codingNone}, {[]string{"gzip", strings.Repeat("a", maxAcceptLen)}, codingNone},
	} {
		if got := acceptEncoding(c.lines).choose(bothCodings); got != c.want {
			t.Errorf("%.60q: %s, want %s", c.lines, codingNames[got], codingNames[c.want])
		}
	}
	if got := acceptEncoding([]string{"gzip, zstd"}).choose([]coding{codingGzip, codingZstd}); got != codingGzip {
		t.Errorf("the first of equals: %v", got)
	}
	if got := acceptEncoding([]string{"zstd"}).choose([]coding{codingGzip}); got != codingNone {
		t.Errorf("one that is not offered: %v", got)
	}
}

// FuzzAcceptEncoding: whatever comes, a coding that is chosen was named with a weight, or covered by *; what is refused anywhere is never chosen.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, deflate, br, zstd", "gzip;q=1.0, identity; q=0.5, *;q=0", "*", "gzip;q=0.0001", ",,,;;;===", "zstd;q=0, gzip;q=0.9", "x-gzip"} {
		f.Add(s, "")
		f.Add("gzip", s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first, second}
		a := acceptEncoding(lines)
		for c, w := range a.weight {
			if w < -1 || w > 1000 {
				t.Fatalf("%q: weight %d of %s", lines, w, codingNames[c])
			}
		}
		got := a.choose(bothCodings)
		if got == codingNone {
			return
		}
		all := strings.ToLower(first + "," + second)
		if !strings.Contains(all, codingNames[got]) && (got != codingGzip || !strings.Contains(all, "*")) {
			t.Fatalf("%q: nobody has asked for %s", lines, codingNames[got])
		}
		refused := append(lines, fmt.Sprintf("%s;q=0", codingNames[got]))
		if again := acceptEncoding(refused).choose(bothCodings); again == got {
			t.Fatalf("%q: %s although it is refused", refused, codingNames[got])
		}
	})
}
