package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/s3test"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// backup gives the state of the fake group, and after 'group breaks' only the first half of it.
func (g *fakeGroup) backup(context.Context, wire.BackupValues) (*admin.Backup, error) {
	g.mu.Lock()
	snap := g.state.Snapshot()
	g.mu.Unlock()
	group := g.state.Group()
	h := archive.Header{
		GroupID: group.ID, GroupName: group.Name, Epoch: group.Epoch, Index: snap.Index(), Confirmed: snap.Index(), Term: 2, GroupTime: g.state.Now(), Schema: fsm.Schema,
		Program: "v1.2.3", Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Node: "n1", Members: []archive.Member{{Name: "n1", ID: "n1/0a", Addr: "127.0.0.1:7701", Voter: true}},
	}
	return &admin.Backup{
		Name: h.Name(), Index: h.Index, Close: func() error { snap.Release(); return nil },
		Write: func(w io.Writer) error {
			a, err := archive.NewWriter(w, h)
			if err != nil {
				return err
			}
			if g.breaks.Load() {
				_, err := io.CopyN(a, rand.NewChaCha8([32]byte{}), 3<<20) // what does not get smaller leaves the node
				return errors.Join(err, errors.New("the node dies"))
			}
			if _, err := snap.WriteTo(a); err != nil {
				return err
			}
			return a.Close()
		},
	}, nil
}

// scheduledBackups has the schedule make one, and then fail.
func (g *fakeGroup) scheduledBackups() error {
	for _, c := range []fsm.Command{
		&fsm.BackupBegin{ID: "b1", Node: "n1", Every: time.Hour}, &fsm.BackupEnd{ID: "b1", Name: "s3://backups/shop/shop-1-3.hfb", Index: 3, Bytes: 1 << 20},
		&fsm.BackupBegin{ID: "b2", Expect: "b1", Node: "n1", Every: time.Hour}, &fsm.BackupEnd{ID: "b2", Failure: "no space\x1b left"},
	} {
		if r, err := g.Propose(context.Background(), c); err != nil || r.Code != fsm.CodeOK {
			return fmt.Errorf("%T: %+v, %w", c, r, err)
		}
	}
	return nil
}

// storeDoes changes the S3-compatible store, or looks at it: store full (it takes nothing more) | spoils (one bit of what it stores) | well | put KEY FILE |
// has KEY... (and nothing else, no part either).
func storeDoes(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("store").(*s3test.Server)
	switch args[0] {
	case "full":
		s.Break(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				s3test.Refuse(w, http.StatusForbidden, "QuotaExceeded", "The bucket is full.")
			}
			return r.Method == http.MethodPut
		})
	case "spoils":
		s.Spoil(func(_ string, b []byte) []byte { b[len(b)/2] ^= 1; return b })
	case "well":
		s.Break(nil)
		s.Spoil(nil)
	case "put":
		s.Put(args[1], []byte(ts.ReadFile(args[2])))
	case "has":
		if got, want := fmt.Sprint(s.Keys()), "["+strings.Join(args[1:], " ")+"]"; got != want || s.Uploads() != 0 {
			ts.Fatalf("the store has %s and %d uploads, want %s", got, s.Uploads(), want)
		}
	default:
		ts.Fatalf("store %s?", args[0])
	}
}
