package wire

import (
	"encoding/json"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Edits is a change of the configuration by names: one transaction, made to whatever is current.
type Edits struct {
	Edits []config.Edit `json:"edits" minItems:"1" maxItems:"1000" doc:"made one after the other, checked as a whole"`
	// Now and NowAll stop without a quiesce.
	Now    []Subject `json:"now,omitempty" maxItems:"1000" doc:"what is stopped at once instead of quiescing; a cluster alone means all its instances"`
	NowAll bool      `json:"nowAll,omitempty" doc:"whatever the change disables is stopped at once"`
	// Stopped is what must be disabled and quiesced already.
	Stopped []Subject `json:"stopped,omitempty" maxItems:"1000" doc:"refused (409) unless these are disabled and quiesced; a cluster alone means all its instances"`
	Message string    `json:"message,omitempty" maxLength:"512" doc:"why, for the history"`
	Lock    uint64    `json:"lock,omitempty" doc:"id of the maintenance lock under which the change is made"`
}

// Rollback makes an earlier revision the newest one.
type Rollback struct {
	Revision uint64    `json:"revision" doc:"one that the history still has"`
	Now      []Subject `json:"now,omitempty" maxItems:"1000" doc:"what is stopped at once instead of quiescing"`
	NowAll   bool      `json:"nowAll,omitempty"`
	Message  string    `json:"message,omitempty" maxLength:"512" doc:"absent: which revision it was"`
	Lock     uint64    `json:"lock,omitempty" doc:"id of the maintenance lock under which the change is made"`
}

// PlanEdits asks what edits, or going back to a revision, would do: one of the two.
type PlanEdits struct {
	Edits    []config.Edit `json:"edits,omitempty"`
	Revision *uint64       `json:"revision,omitempty" doc:"an earlier revision, as of rollback"`
	Now      []Subject     `json:"now,omitempty"`
	NowAll   bool          `json:"nowAll,omitempty"`
}

// Plan says what a change would do now. It changes nothing.
type Plan struct {
	Revision  uint64 `json:"revision" doc:"the revision that it was made from; give it as If-Match with the change"`
	Unchanged bool   `json:"unchanged" doc:"the configuration is this one already"`
	// Changes has at most 1000 of ChangeCount differences.
	Changes     []config.Change `json:"changes"`
	ChangeCount int             `json:"changeCount" doc:"how many there are; at most 1000 are listed"`
	Effect      Effect          `json:"effect"`
	Warnings    []string        `json:"warnings" doc:"what is legal but perhaps not meant"`
}

// Schedule is a change that is to be applied at a time.
type Schedule struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at" doc:"replicated time"`
	Actor   string    `json:"actor"`
	Message string    `json:"message,omitempty"`
	Created time.Time `json:"created"`
	// Expect is the revision that a whole configuration was made from: when another is current at its time, nothing is applied.
	Expect uint64        `json:"expect,omitempty" doc:"of a whole configuration: the revision that must be current then"`
	Whole  bool          `json:"whole" doc:"a whole configuration, not edits"`
	Edits  []config.Edit `json:"edits,omitempty" doc:"at most 100 of them"`
	Now    []Subject     `json:"now,omitempty" doc:"what is stopped at once"`
}

// ScheduleList is the changes that wait for their time, the next one first.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules"`
}

// Value makes the JSON of one value of an edit. It is for values that always can be encoded.
func Value(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a value of an edit cannot be encoded: " + err.Error())
	}
	return b
}
