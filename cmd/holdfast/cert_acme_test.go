package main

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// TestFailedCertificatesAreTold: what an authority says is shown, and moves no cursor.
func TestFailedCertificatesAreTold(t *testing.T) {
	next := time.Now().Add(time.Hour)
	list := []client.Certificate{
		{Name: "good", ACME: &client.CertificateACME{Hosts: []string{"a.example"}, RenewAt: next}},
		{Name: "bad", ACME: &client.CertificateACME{Hosts: []string{"b.example"}, Failures: 2, Error: "rate\x1b[31m limited", Next: next}},
		{Name: "hand"},
	}
	var b strings.Builder
	if err := writeFailures(&b, list); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "! bad could not be obtained: rate") || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	for i, want := range []string{when(next), "failed, again " + when(next), "-"} {
		if got := renewal(&list[i]).text; got != want {
			t.Errorf("%s: %q, want %q", list[i].Name, got, want)
		}
	}
	b.Reset()
	writeACME(&b, list[1].ACME)
	if got := b.String(); !strings.Contains(got, "failed       2 times in a row, the next attempt "+when(next)) {
		t.Errorf("%q", got)
	}
}
