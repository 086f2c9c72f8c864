package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

func postRestore(api http.Handler, query, media, body string) *httptest.ResponseRecorder {
	r := local(httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7700/v1/restore?"+query, strings.NewReader(body)))
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	return serve(api, r)
}

const mediaArchive = "application/octet-stream"

// TestRestoreTakesTheArchiveAsItComes: larger than any other body, with what was said about it, by name of the caller.
func TestRestoreTakesTheArchiveAsItComes(t *testing.T) {
	r := newRig(t)
	var got admin.Restore
	var size int64
	r.node.restore = func(_ context.Context, what admin.Restore) (wire.Restored, error) {
		got = what
		var err error
		size, err = io.Copy(io.Discard, what.From)
		return wire.Restored{Epoch: 2, Revision: 9, Index: 3, Sessions: 7, From: wire.RestoredFrom{Epoch: 1, Index: 5}}, err
	}
	body := strings.Repeat("x", 9<<20)
	w := postRestore(r.api, "group=test&archive=a.hfb&reason=wrong+import&lock=4", mediaArchive, body)
	if w.Code != http.StatusOK || size != int64(len(body)) || got.Archive != "a.hfb" || got.Reason != "wrong import" || got.Lock != 4 || got.Actor != "local" {
		t.Errorf("%d %s: %d bytes, %+v", w.Code, w.Body, size, got)
	}
	if text := w.Body.String(); !strings.Contains(text, `"epoch":2`) || !strings.Contains(text, `"appliedBy":"all"`) || w.Header().Get("Content-Type") != "application/json" {
		t.Error(text)
	}
	if log := r.log.String(); !strings.Contains(log, `msg="the group was restored from an archive"`) || !strings.Contains(log, "wrong import") {
		t.Error(log)
	}
}

// TestRestoreIsRefused: before anything is read, or by the group.
func TestRestoreIsRefused(t *testing.T) {
	r := newRig(t)
	read := false
	r.node.restore = func(context.Context, admin.Restore) (wire.Restored, error) {
		read = true
		return wire.Restored{}, nil
	}
	wantProblem(t, postRestore(r.api, "group=another", mediaArchive, "x"), http.StatusConflict, wire.CodeRefused)
	wantProblem(t, postRestore(r.api, "", mediaArchive, "x"), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	wantProblem(t, postRestore(r.api, "group=test&group=test", mediaArchive, "x"), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	wantProblem(t, postRestore(r.api, "group=test", "", "x"), http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType)
	wantProblem(t, postRestore(r.api, "group=test", "application/json", "{}"), http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType)
	wantProblem(t, postRestore(r.api, "group=test&reason="+strings.Repeat("x", 2000), mediaArchive, "x"), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	r.node.lost.Store(true)
	wantProblem(t, postRestore(r.api, "group=test", mediaArchive, "x"), http.StatusServiceUnavailable, wire.CodeNoQuorum)
	r.node.lost.Store(false)
	if read {
		t.Error("the archive was taken")
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{admin.ErrNoQuorum, 503, wire.CodeNoQuorum}, {admin.ErrOutcomeUnknown, 504, wire.CodeOutcomeUnknown}, {errors.New("secret detail"), 500, wire.CodeInternal},
		{admin.Refused(fsm.Result{Code: fsm.CodeInvalid, Message: "workflow w1 runs"}), 409, wire.CodeRefused}, {admin.Refused(fsm.Result{Code: fsm.CodeLocked, Lock: &fsm.Lock{Owner: "ops"}}), 423, wire.CodeLocked},
	} {
		r.node.restore = func(context.Context, admin.Restore) (wire.Restored, error) { return wire.Restored{}, c.err }
		if p := wantProblem(t, postRestore(r.api, "group=test", mediaArchive, "x"), c.status, c.code); strings.Contains(p.Detail, "secret") {
			t.Error(p.Detail)
		}
	}
	if admin.Refused(fsm.Result{}) != nil {
		t.Error("a success is no refusal")
	}
}

// TestOneRestoreAtATime: each costs a state in memory.
func TestOneRestoreAtATime(t *testing.T) {
	r := newRig(t)
	began, end := make(chan struct{}), make(chan struct{})
	r.node.restore = func(context.Context, admin.Restore) (wire.Restored, error) {
		close(began)
		<-end
		return wire.Restored{}, nil
	}
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- postRestore(r.api, "group=test", mediaArchive, "x") }()
	select {
	case <-began:
	case w := <-done:
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, postRestore(r.api, "group=test", mediaArchive, "x"), http.StatusServiceUnavailable, wire.CodeNotReady)
	close(end)
	if w := <-done; w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRestoreNeedsTheRoleAdmin(t *testing.T) {
	r := newRig(t)
	for _, role := range []string{wire.RoleViewer, wire.RoleOperator} {
		req, err := http.NewRequest(http.MethodPost, r.url+"/v1/restore?group=test", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaArchive)
		resp, err := http.DefaultClient.Do(bearer(req, r.token(role, time.Time{})))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d", role, resp.StatusCode)
		}
	}
}
