package wire

import "time"

// Explain asks for everything about one session: by its key, or as in Lookup.
type Explain struct {
	Key         string `json:"key,omitempty" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits; or session, or cookie, with their module"`
	Cluster     string `json:"cluster,omitempty" maxLength:"128"`
	Host        string `json:"host,omitempty" maxLength:"253" doc:"host of the module, empty when it has none"`
	ContextRoot string `json:"contextRoot,omitempty" maxLength:"1024" doc:"context root of the module"`
	Session     string `json:"session,omitempty" maxLength:"4096" doc:"the application's session id (learn)"`
	Cookie      string `json:"cookie,omitempty" maxLength:"4096" doc:"value of the insert cookie"`
}

// Explanation is everything that the group knows about one session.
type Explanation struct {
	Key     string   `json:"key"`
	Found   bool     `json:"found" doc:"whether the table has an assignment"`
	Session *Session `json:"session,omitempty"`
	Cookie  *Cookie  `json:"cookie,omitempty" doc:"what the insert cookie says, when one was given"`
	// Decisions are those that the group remembers, the oldest first.
	Decisions []Decision `json:"decisions"`
	// Whole is false when earlier decisions have been forgotten.
	Whole bool `json:"whole" doc:"whether these are all decisions since the session began"`
	Next  Next `json:"next" doc:"what would become of a request of the session now"`
	// Data is what the application keeps of it in the store.
	Data *StoredData `json:"data,omitempty" doc:"of the data that the application keeps of it; absent: none"`
}

// Decision is one decision about where a session goes.
type Decision struct {
	Index  uint64    `json:"index"`
	Time   time.Time `json:"time,omitzero" doc:"replicated time; absent when it is not known any more"`
	From   string    `json:"from,omitempty" doc:"instance; absent: the session began"`
	To     string    `json:"to,omitempty" doc:"instance; absent: the session was dropped"`
	Reason string    `json:"reason"`
}

// The outcomes of a request.
const (
	NextStays    = "stays"     // it goes to the session's instance
	NextFailOver = "fail-over" // it goes to another instance of the cluster, and so does the session
	NextNew      = "new"       // it is treated as a request without a session
	NextRefused  = "refused"   // it is answered with an error
	NextDepends  = "depends"   // the nodes differ: see why
)

// Next is what would become of the next request of a session.
type Next struct {
	Outcome  string `json:"outcome" enum:"stays,fail-over,new,refused,depends"`
	Instance string `json:"instance,omitempty" doc:"where it goes, when that is certain"`
	// Why has one line for each fact that decides.
	Why []string `json:"why"`
}

// SessionMove says where a session is to go.
type SessionMove struct {
	Instance string `json:"instance" minLength:"1" maxLength:"128" doc:"an instance of the session's cluster"`
	Cluster  string `json:"cluster,omitempty" maxLength:"128" doc:"when given: the cluster that the instance is of; another one than the session's is refused"`
	Force    bool   `json:"force,omitempty" doc:"also to an instance that is stopped or has failed"`
}
