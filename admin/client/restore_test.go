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

// TestRestoreGoesToWhoeverTakesIt: a node that is down, or refuses for now, is passed over, and each one is sent the archive from its beginning; an outcome that is unknown is not tried again.
func TestRestoreGoesToWhoeverTakesIt(t *testing.T) {
	opened := 0
	what := client.Restore{Group: "shop", Archive: "a.hfb", Reason: "why not", Lock: 7, Owner: "ops", Open: func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader("archive")), nil
	}}
	busy := node(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fail(w, 503, wire.CodeNotReady)
	})
	good := node(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "archive" || r.URL.RawQuery != "archive=a.hfb&group=shop&lock=7&owner=ops&reason=why+not" || r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("Authorization") != "Bearer hft1.x" {
			t.Errorf("%q, %s, %v", body, r.URL.RawQuery, r.Header)
		}
		io.WriteString(w, `{"epoch":3,"revision":9,"sessions":5,"from":{"index":4}}`)
	})
	done, err := connect(t, client.Options{URLs: []string{dead(t), busy, good}, Token: "hft1.x"}).RestoreGroup(t.Context(), what)
	if err != nil || done.Epoch != 3 || done.Revision != 9 || done.From.Index != 4 || opened != 3 {
		t.Errorf("%+v, %v; opened %d times", done, err, opened)
	}
	asked := false
	other := node(t, func(http.ResponseWriter, *http.Request) { asked = true })
	broken := node(t, cut)
	if _, err := connect(t, client.Options{URLs: []string{broken, other}}).RestoreGroup(t.Context(), what); err == nil || !strings.Contains(err.Error(), "look at the epoch") || asked {
		t.Errorf("%v; the next was asked: %v", err, asked)
	}
	refuses := node(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, 409, wire.CodeRefused) })
	var problem *client.Problem
	if _, err := connect(t, client.Options{URLs: []string{refuses, other}}).RestoreGroup(t.Context(), what); !errors.As(err, &problem) || problem.Code != wire.CodeRefused || asked {
		t.Errorf("%v; the next was asked: %v", err, asked)
	}
	what.Open = func() (io.ReadCloser, error) { return nil, errors.New("no such file") }
	if _, err := connect(t, client.Options{URLs: []string{good}}).RestoreGroup(t.Context(), what); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}
