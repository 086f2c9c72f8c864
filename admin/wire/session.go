package wire

import "time"

// Session is one assignment.
type Session struct {
	Key      string `json:"key" doc:"keyed hash, 32 hexadecimal digits"`
	Cluster  string `json:"cluster"`
	Instance string `json:"instance"`
	// Host and ContextRoot are those of the module where it was recorded, absent when that is not known.
	Host        string `json:"host,omitempty" doc:"of its module"`
	ContextRoot string `json:"contextRoot,omitempty" doc:"of its module; absent when it is not known"`
	Reason      string `json:"reason" doc:"why it is where it is, in words"`
	Index       uint64 `json:"index,omitempty" doc:"log index of that decision"`
	// Seen is coarse: requests move it at most every sixteenth of the idle timeout.
	Seen time.Time `json:"seen" doc:"when it was last known to be in use, coarsely"`
	// Expires is the earliest replicated time at which it goes without further requests.
	Expires time.Time `json:"expires" doc:"the earliest time at which it goes when it is not used again"`
}

// SessionPage is a part of the table.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	// Next is the cursor of the next page, empty on the last one.
	Next string `json:"next,omitempty" doc:"cursor of the next page, absent on the last"`
}

// Lookup asks for the assignment behind an application's session id or an insert cookie. It travels in a body, because
// addresses of requests end up in logs.
type Lookup struct {
	Cluster     string `json:"cluster" minLength:"1" maxLength:"128"`
	Host        string `json:"host,omitempty" maxLength:"253" doc:"host of the module, empty when it has none"`
	ContextRoot string `json:"contextRoot" minLength:"1" maxLength:"1024" doc:"context root of the module"`
	Session     string `json:"session,omitempty" maxLength:"4096" doc:"the application's session id (learn); this or cookie"`
	Cookie      string `json:"cookie,omitempty" maxLength:"4096" doc:"value of the insert cookie; this or session"`
}

// LookupResult says where the requests of a session go.
type LookupResult struct {
	Key     string   `json:"key" doc:"keyed hash, 32 hexadecimal digits"`
	Found   bool     `json:"found" doc:"whether the table has an assignment"`
	Session *Session `json:"session,omitempty"`
	// Cookie is what the insert cookie says, when one was given.
	Cookie *Cookie `json:"cookie,omitempty"`
}

// Cookie is the authenticated content of an insert cookie.
type Cookie struct {
	Cluster     string `json:"cluster"`
	Instance    string `json:"instance"`
	Epoch       uint32 `json:"epoch"`
	Index       uint64 `json:"index" doc:"log index at which the assignment was recorded"`
	Provisional bool   `json:"provisional" doc:"given out while no majority could record it"`
}
