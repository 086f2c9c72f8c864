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

var followFrom = client.FollowFrom{Group: "g", Epoch: 2, Line: 4294967295, Index: 7, Term: 3}

func sendLog(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "log "+r.URL.RawQuery+r.Header.Get("Authorization")+r.Header.Get("Holdfast-Epoch-Line"))
}

// TestFollowWhoeverCan: nodes that are down, leave or do not go back so far are passed over.
func TestFollowWhoeverCan(t *testing.T) {
	leaves := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, wire.CodeNotReady) })
	young := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 410, wire.CodeSnapshotNeeded) })
	old := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 409, wire.CodeRefused) })
	good := node(t, sendLog)
	c := connect(t, client.Options{URLs: []string{dead(t), leaves, young, old, good}, Token: "hft1.x"})
	s, err := c.Follow(t.Context(), followFrom)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := io.ReadAll(s)
	if err != nil || string(text) != "log epoch=2&from=7&group=g&term=3Bearer hft1.x4294967295" || s.Node != good {
		t.Errorf("%q from %s, %v", text, s.Node, err)
	}
}

// TestNobodyToFollow: that a whole state would help is worth more than all other answers.
func TestNobodyToFollow(t *testing.T) {
	young := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 410, wire.CodeSnapshotNeeded) })
	old := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 409, wire.CodeRefused) })
	var p *client.Problem
	if _, err := connect(t, client.Options{URLs: []string{old, young, dead(t)}}).Follow(t.Context(), followFrom); !errors.As(err, &p) || p.Code != wire.CodeSnapshotNeeded {
		t.Errorf("%v", err)
	}
	if _, err := connect(t, client.Options{URLs: []string{dead(t), old}}).Follow(t.Context(), followFrom); !errors.As(err, &p) || p.Code != wire.CodeRefused {
		t.Errorf("%v", err)
	}
	var unreachable *client.Unreachable
	if _, err := connect(t, client.Options{URLs: []string{dead(t)}}).Follow(t.Context(), followFrom); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}
