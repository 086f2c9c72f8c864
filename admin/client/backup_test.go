package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func sendBackup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Disposition", `attachment; filename="shop-1-7-20260301T120000Z.hfb"`)
	w.Header().Set("Holdfast-Index", "7")
	io.WriteString(w, "archive "+r.URL.RawQuery+r.Header.Get("Authorization"))
}

// TestBackupComesFromWhoeverHasIt: a node that is down or cannot give one is passed over.
func TestBackupComesFromWhoeverHasIt(t *testing.T) {
	busy := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, wire.CodeNotReady) })
	broken := node(t, cut)
	good := node(t, sendBackup)
	c := connect(t, client.Options{URLs: []string{dead(t), busy, broken, good}, Token: "hft1.x"})
	b, err := c.Backup(t.Context(), client.Stale())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	if err != nil || string(text) != "archive consistency=staleBearer hft1.x" || b.Name != "shop-1-7-20260301T120000Z.hfb" || b.Index != 7 || b.Node != good {
		t.Errorf("%q from %+v, %v", text, b, err)
	}
}

func TestNoBackup(t *testing.T) {
	var unreachable *client.Unreachable
	var problem *client.Problem
	stranger := node(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	_, err := connect(t, client.Options{URLs: []string{dead(t), stranger}}).Backup(t.Context())
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "is it a Holdfast node?") {
		t.Errorf("nobody has one: %v", err)
	}
	asked := false
	forbids := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 403, wire.CodeForbidden) })
	other := node(t, func(w http.ResponseWriter, r *http.Request) { asked = true; sendBackup(w, r) })
	_, err = connect(t, client.Options{URLs: []string{forbids, other}}).Backup(t.Context())
	if !errors.As(err, &problem) || problem.Code != wire.CodeForbidden || asked {
		t.Errorf("a refusal that is final: %v; the next was asked: %v", err, asked)
	}
	lost := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, wire.CodeNoQuorum) })
	if _, err = connect(t, client.Options{URLs: []string{lost, dead(t)}}).Backup(t.Context()); !errors.As(err, &problem) || problem.Code != wire.CodeNoQuorum {
		t.Errorf("no quorum: %v", err)
	}
}

// TestBackupBreaksOff: the error says so; it is no end.
func TestBackupBreaksOff(t *testing.T) {
	n := node(t, func(w http.ResponseWriter, r *http.Request) {
		sendBackup(w, r)
		_ = http.NewResponseController(w).Flush()
		cut(w, r)
	})
	b, err := connect(t, client.Options{URLs: []string{n}}).Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.ReadAll(b); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
