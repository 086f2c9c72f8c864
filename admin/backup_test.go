package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// backupOf is a backup that consists of text.
func backupOf(text string) *admin.Backup {
	return &admin.Backup{
		Name: "shop-1-7-20260301T120000Z.hfb", Index: 7, Close: func() error { return nil },
		Write: func(w io.Writer) error { _, err := io.WriteString(w, text); return err },
	}
}

func TestBackupIsSent(t *testing.T) {
	r := newRig(t)
	w := read(r.api, "/v1/backup")
	if w.Code != http.StatusOK || w.Body.String() != "archive" || w.Header().Get("Content-Disposition") != `attachment; filename="shop-1-7-20260301T120000Z.hfb"` ||
		w.Header().Get("Holdfast-Index") != "7" || w.Header().Get("Holdfast-Consistency") != wire.Linearizable || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if log := r.log.String(); !strings.Contains(log, `msg="backup sent"`) || !strings.Contains(log, "bytes=7") {
		t.Errorf("nobody knows who has the secrets now: %s", log)
	}
	// Without a quorum only what the node knows, and only for who asks for that.
	r.node.lost.Store(true)
	wantProblem(t, read(r.api, "/v1/backup"), http.StatusServiceUnavailable, wire.CodeNoQuorum)
	if w := read(r.api, "/v1/backup?consistency=stale"); w.Code != http.StatusOK || w.Header().Get("Holdfast-Consistency") != wire.Stale {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestBackupFailsBeforeItBegins: the caller gets a problem, and the place is free again.
func TestBackupFailsBeforeItBegins(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"leaving": {admin.ErrClosed, 503, wire.CodeNotReady},
		"problem": {wire.NewProblem(503, wire.CodeNotReady, "The disk is full."), 503, wire.CodeNotReady},
		"fault":   {errors.New("secret detail"), 500, wire.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			r.node.backup = func(context.Context) (*admin.Backup, error) { return nil, c.err }
			p := wantProblem(t, read(r.api, "/v1/backup"), c.status, c.code)
			if strings.Contains(p.Detail, "secret") {
				t.Error(p.Detail)
			}
		})
	}
	r.node.backup = func(context.Context) (*admin.Backup, error) { return backupOf("x"), nil }
	if w := read(r.api, "/v1/backup"); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// TestBackupIsCutOff: when it cannot be sent to its end the connection breaks: half of it must not look like all of it.
func TestBackupIsCutOff(t *testing.T) {
	r := newRig(t)
	var closed atomic.Int32
	r.node.backup = func(context.Context) (*admin.Backup, error) {
		b := backupOf("")
		b.Write = func(w io.Writer) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			return errors.New("the disk fails")
		}
		b.Close = func() error { closed.Add(1); return nil }
		return b, nil
	}
	for range 2 { // the second time shows that the place was given back
		resp, err := http.Get(r.url + "/v1/backup")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("status %d, %v", resp.StatusCode, err)
		}
	}
	if closed.Load() != 2 {
		t.Errorf("closed %d times", closed.Load())
	}
	if log := r.log.String(); !strings.Contains(log, "a backup was cut off") || !strings.Contains(log, "the disk fails") {
		t.Error(log)
	}
}

// TestOneBackupAtATime: another caller is told so; a reader that goes away gives the place back.
func TestOneBackupAtATime(t *testing.T) {
	r := newRig(t)
	began, ended := make(chan struct{}), make(chan struct{})
	r.node.backup = func(context.Context) (*admin.Backup, error) {
		b := backupOf("")
		b.Write = func(w io.Writer) (err error) {
			close(began)
			defer close(ended)
			for part := strings.Repeat("x", 1<<16); err == nil; {
				_, err = io.WriteString(w, part)
			}
			return err
		}
		return b, nil
	}
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/v1/backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-began
	p := wantProblem(t, read(r.api, "/v1/backup"), http.StatusServiceUnavailable, wire.CodeNotReady)
	if p.Detail != "This node is sending a backup already; ask another one, or try again." {
		t.Error(p.Detail)
	}
	leave()
	<-ended
	r.node.backup = func(context.Context) (*admin.Backup, error) { return backupOf("x"), nil }
	within(t, 10*time.Second, func() bool { return read(r.api, "/v1/backup").Code == http.StatusOK })
}

// within waits for ok.
func within(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v", d)
		}
	}
}

func TestBackupNeedsTheRoleAdmin(t *testing.T) {
	r := newRig(t)
	for _, role := range []string{wire.RoleViewer, wire.RoleOperator} {
		req, err := http.NewRequest(http.MethodGet, r.url+"/v1/backup", nil)
		if err != nil {
			t.Fatal(err)
		}
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
