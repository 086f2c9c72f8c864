package server

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// filesDuty gives up uploads of files that nobody goes on with: all nodes hold what has come of them.
type filesDuty struct{ *term }

func (filesDuty) name() string { return "files" }

func (d filesDuty) look(ctx context.Context) (time.Duration, error) {
	again := never
	for _, f := range d.state.Operating().Uploads {
		if left := fsm.FileIdle - d.now().Sub(f.Changed); left > 0 {
			again = min(again, left)
			continue
		}
		// A refusal is no failure: it went on, or is over.
		if _, err := d.do(ctx, &fsm.FileDrop{Name: f.Name, Upload: true, Version: f.Version}); err != nil {
			return 0, err
		}
		again = refusedPause
	}
	return again, nil
}
