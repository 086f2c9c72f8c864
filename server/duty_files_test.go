package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestUploadsNobodyGoesOnWith are given up, each as it was seen; one that goes on is left alone.
func TestUploadsNobodyGoesOnWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		g.refuse = func(c fsm.Command) error {
			if drop, ok := c.(*fsm.FileDrop); ok {
				if !drop.Upload || drop.Version != 7 || drop.Name != "a" {
					t.Errorf("%+v", drop)
				}
				g.op.Uploads = nil
			}
			return nil
		}
		upload := func(version uint64, changed time.Time) {
			g.change(func(op *fsm.Operating) {
				op.Uploads = []*fsm.File{{Name: "a", Size: 9, Version: version, Changed: changed}}
			})
		}
		tm := g.term("n1")
		defer g.lead(tm, filesDuty{tm})()
		upload(5, time.Now())
		time.Sleep(fsm.FileIdle - time.Minute)
		upload(7, time.Now())
		time.Sleep(fsm.FileIdle - time.Minute)
		synctest.Wait()
		wantCount[*fsm.FileDrop](t, g, 0)
		time.Sleep(time.Minute + 10*time.Millisecond)
		synctest.Wait()
		wantCount[*fsm.FileDrop](t, g, 1)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		wantCount[*fsm.FileDrop](t, g, 1)
	})
}
