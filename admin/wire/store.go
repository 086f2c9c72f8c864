package wire

import "time"

// StoredKey is a key of a module with what is to be known of its value.
type StoredKey struct {
	Key     string    `json:"key"`
	ETag    string    `json:"etag" doc:"version of the value, for If-Match"`
	Type    string    `json:"type" doc:"its media type"`
	Bytes   int       `json:"bytes"`
	Changed time.Time `json:"changed" doc:"replicated time of the last write"`
	Expires time.Time `json:"expires,omitzero" doc:"when it goes without another write; absent: never"`
	// Data is there when values were asked for.
	Data []byte `json:"data,omitempty" doc:"the value in base64, with values=true"`
}

// StoredKeys is a page of a module's keys in the order of their bytes.
type StoredKeys struct {
	Keys []StoredKey `json:"keys"`
	// Index is what a watch goes on from.
	Index uint64 `json:"index" doc:"log index up to which the list holds: the changedSince of the next call"`
	Next  string `json:"next,omitempty" doc:"after of the next page; absent on the last one"`
}

// StoredData describes the data of a session without giving it.
type StoredData struct {
	ETag    string    `json:"etag"`
	Type    string    `json:"type"`
	Bytes   int       `json:"bytes"`
	Changed time.Time `json:"changed"`
	Expires time.Time `json:"expires" doc:"when it goes without another write, unless the session has its assignment"`
}

// StoreUse is what a module has in the store.
type StoreUse struct {
	Cluster     string `json:"cluster"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot"`
	Sessions    int    `json:"sessions" doc:"sessions with data"`
	Keys        int    `json:"keys"`
	Bytes       int64  `json:"bytes" doc:"what it counts for the bounds: values, names and 256 for each"`
	MaxBytes    int64  `json:"maxBytes" doc:"0: the configuration gives the module no store any more"`
}

// StoreReport is all that is in the store.
type StoreReport struct {
	Modules  []StoreUse `json:"modules"`
	Bytes    int64      `json:"bytes"`
	MaxBytes int64      `json:"maxBytes" doc:"bound of all modules together"`
}

// ModuleParams name a module.
type ModuleParams struct {
	Cluster     string `path:"cluster" maxLength:"128"`
	Host        string `query:"host" maxLength:"253" doc:"host of the module, absent when it has none"`
	ContextRoot string `query:"contextRoot" maxLength:"1024" doc:"context root of the module; absent: the only module of the cluster"`
}

// WriteParams go with every write of a value.
type WriteParams struct {
	IfMatch        string `header:"If-Match" maxLength:"64" doc:"write only when the value has this version, or *: when there is one"`
	IfNoneMatch    string `header:"If-None-Match" maxLength:"64" doc:"*: write only when there is none"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

// PutParams go with PUT.
type PutParams struct {
	WriteParams
	ContentType string `header:"Content-Type" maxLength:"256" doc:"is kept, and given back by GET; absent: application/octet-stream"`
	TTLSeconds  int64  `query:"ttlSeconds" minimum:"1" maximum:"31622400" doc:"how long the value stays without another write"`
}

// SessionParams name a session of a module by what the application calls it.
type SessionParams struct {
	ModuleParams
	Session string `header:"Holdfast-Session" required:"true" minLength:"1" maxLength:"4096" doc:"the application's session id, as its cookie has it: with or without the suffix of an instance"`
}

// KeyParams name a key of a module.
type KeyParams struct {
	ModuleParams
	Key string `path:"key" minLength:"1" maxLength:"512" pattern:"^[A-Za-z0-9_~!$'()*+,:@=-][A-Za-z0-9_.~!$'()*+,:@=-]*(/[A-Za-z0-9_~!$'()*+,:@=-][A-Za-z0-9_.~!$'()*+,:@=-]*)*$" patternDescription:"letters, digits and _.~!$'()*+,:@=-, in parts that do not begin with a dot, parted by /" doc:"letters, digits and _.~!$'()*+,:@=- in parts that do not begin with a dot, parted by slashes, which are written %2F"`
}
