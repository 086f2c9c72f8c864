package admin

import (
	"fmt"
	"time"
)

// failureShown is how long the failure of a schedule is shown when nothing is scheduled after it.
const failureShown = 24 * time.Hour

// failedSchedule reminds of a change that was not made at its time: nobody may have looked then.
func (a *API) failedSchedule() []string {
	e := a.opt.State.FailedSchedule()
	if e == nil || a.opt.Now().Sub(e.Time) > failureShown {
		return nil
	}
	return []string{fmt.Sprintf("at %s: %s; this stays for a day, or until something is scheduled", e.Time.UTC().Format(time.RFC3339), e.Text)}
}
