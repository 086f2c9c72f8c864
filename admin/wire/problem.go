package wire

import (
	"fmt"
	"net/http"
	"strings"
)

// ProblemTypePrefix comes before the code in a problem's type (RFC 9457 section 3.1.1: a URI that identifies the problem).
const ProblemTypePrefix = "urn:holdfast:problem:"

// The codes of problem documents. A code never changes its meaning; programs decide by it, not by the texts.
const (
	CodeBadRequest            = "bad-request"            // 400: the request cannot be understood
	CodeMalformedBody         = "malformed-body"         // 400: the body is not well-formed JSON (or has duplicate keys, or is nested too deeply)
	CodeInvalidPrecondition   = "invalid-precondition"   // 400: If-Match is not one revision in quotes
	CodeUnauthorized          = "unauthorized"           // 401: no valid access token
	CodeForbidden             = "forbidden"              // 403: the token's role does not allow it
	CodeHostNotAllowed        = "host-not-allowed"       // 403: without a token, only by IP address or localhost
	CodeCrossSite             = "cross-site"             // 403: a browser sent it for another site
	CodeNotFound              = "not-found"              // 404: no such route or thing
	CodeMethodNotAllowed      = "method-not-allowed"     // 405: see Allow
	CodeNotAcceptable         = "not-acceptable"         // 406: none of the formats asked for
	CodeRequestTimeout        = "request-timeout"        // 408: the body came too slowly
	CodeRevisionConflict      = "revision-conflict"      // 409: the configuration has changed since; see revision
	CodeRefused               = "refused"                // 409: the change contradicts the state
	CodeValueLost             = "value-lost"             // 404: there was a value, and no node has its bytes any more
	CodeSnapshotNeeded        = "snapshot-needed"        // 410: the log does not go back so far: take a backup and follow from there
	CodeBodyTooLarge          = "body-too-large"         // 413: over 1 MiB (a configuration: 4 MiB)
	CodePreconditionFailed    = "precondition-failed"    // 412: the value has another version than If-Match says, or there is one where If-None-Match says that there is none
	CodeValueTooLarge         = "value-too-large"        // 413: over the bound of the module's store
	CodeStoreFull             = "store-full"             // 507: the module, or the group, has as much in the store as it may have
	CodeUnsupportedMediaType  = "unsupported-media-type" // 415: see Accept
	CodeInvalidRequest        = "invalid-request"        // 422: a parameter or field is wrong; see errors
	CodeConfigInvalid         = "config-invalid"         // 422: the configuration is wrong; errors lists all with line and column
	CodeLocked                = "locked"                 // 423: the maintenance lock is on; see lock
	CodePreconditionRequired  = "precondition-required"  // 428: the write needs If-Match
	CodeInternal              = "internal"               // 500: a fault of this node; its log says more
	CodeNoQuorum              = "no-quorum"              // 503: no leader or no majority; nothing was done; see Retry-After
	CodeNoRoom                = "no-room"                // 503: the disks of most nodes are full; nothing was done; see Retry-After
	CodeQuarantined           = "quarantined"            // 503: this node has taken itself out of service; nothing was done; ask another one
	CodeValueAway             = "value-away"             // 503: none of the nodes that have the bytes of the value, or could have them, answers; nothing was done; see Retry-After
	CodeNotReady              = "not-ready"              // 503: this node should not get traffic; see errors
	CodeOutcomeUnknown        = "outcome-unknown"        // 504: it may or may not have happened; repeat with the same Idempotency-Key
	CodeSessionIDNotInCluster = "session-not-recognised" // 422: the session id or cookie does not belong there
)

// Codes lists every code with the HTTP status that it comes with, in the order of the statuses.
var Codes = []struct {
	Code    string
	Status  int
	Meaning string
}{
	{CodeBadRequest, http.StatusBadRequest, "the request cannot be understood"},
	{CodeMalformedBody, http.StatusBadRequest, "the body is not well-formed JSON, has duplicate keys or is nested too deeply"},
	{CodeInvalidPrecondition, http.StatusBadRequest, "If-Match is not one revision in quotes"},
	{CodeUnauthorized, http.StatusUnauthorized, "no valid access token"},
	{CodeForbidden, http.StatusForbidden, "the role of the token does not allow it"},
	{CodeHostNotAllowed, http.StatusForbidden, "without a token a node answers only by IP address or as localhost"},
	{CodeCrossSite, http.StatusForbidden, "a browser sent the request for another site"},
	{CodeNotFound, http.StatusNotFound, "no such route or thing"},
	{CodeValueLost, http.StatusNotFound, "there was a value, and no node has its bytes any more"},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "the route has other methods, see Allow"},
	{CodeNotAcceptable, http.StatusNotAcceptable, "none of the formats asked for can be given"},
	{CodeRequestTimeout, http.StatusRequestTimeout, "the body came too slowly"},
	{CodeRevisionConflict, http.StatusConflict, "the configuration has changed since, see revision"},
	{CodeRefused, http.StatusConflict, "the change contradicts the state"},
	{CodeSnapshotNeeded, http.StatusGone, "the log does not go back so far, take a backup and follow from its index"},
	{CodeBodyTooLarge, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB (a configuration: 4 MiB)"},
	{CodePreconditionFailed, http.StatusPreconditionFailed, "the value of the store has another version than If-Match says, or there is one where If-None-Match wants none; see ETag"},
	{CodeValueTooLarge, http.StatusRequestEntityTooLarge, "the value is larger than the store of its module takes"},
	{CodeUnsupportedMediaType, http.StatusUnsupportedMediaType, "the body has another type than the route takes, see Accept"},
	{CodeInvalidRequest, http.StatusUnprocessableEntity, "a parameter or field is wrong, see errors"},
	{CodeConfigInvalid, http.StatusUnprocessableEntity, "the configuration is wrong, errors lists every fault with line and column"},
	{CodeSessionIDNotInCluster, http.StatusUnprocessableEntity, "the session id or cookie does not belong to this cluster, host and context root"},
	{CodeLocked, http.StatusLocked, "the maintenance lock is on, lock says whose, why and since when"},
	{CodePreconditionRequired, http.StatusPreconditionRequired, "the write needs If-Match"},
	{CodeInternal, http.StatusInternalServerError, "a fault of this node, its log says more"},
	{CodeNoQuorum, http.StatusServiceUnavailable, "no leader or no majority, nothing was done, see Retry-After"},
	{CodeNoRoom, http.StatusServiceUnavailable, "the disks of most nodes are full, nothing was done, see Retry-After"},
	{CodeQuarantined, http.StatusServiceUnavailable, "this node has taken itself out of service, nothing was done, ask another one"},
	{CodeValueAway, http.StatusServiceUnavailable, "none of the nodes that have the bytes of the value, or could have them, answers, nothing was done, see Retry-After"},
	{CodeNotReady, http.StatusServiceUnavailable, "this node should not get traffic, see errors"},
	{CodeStoreFull, http.StatusInsufficientStorage, "the module or the group has as much in the store as it may have, nothing was stored"},
	{CodeOutcomeUnknown, http.StatusGatewayTimeout, "it may or may not have happened, repeat it with the same Idempotency-Key"},
}

// Problem is an RFC 9457 problem document. It is the error of every call that fails.
type Problem struct {
	Type   string `json:"type" doc:"urn:holdfast:problem: and the code"`
	Title  string `json:"title" doc:"the meaning of the HTTP status"`
	Status int    `json:"status" doc:"the HTTP status"`
	Code   string `json:"code" doc:"stable; programs decide by it"`
	Detail string `json:"detail,omitempty" doc:"what happened, why, and what to do"`
	// Errors lists every single fault when there can be several.
	Errors []ProblemError `json:"errors,omitempty"`
	// Revision is the current configuration revision, with revision-conflict.
	Revision *uint64 `json:"revision,omitempty"`
	// Lock is the maintenance lock that is in the way, with locked.
	Lock *Lock `json:"lock,omitempty"`

	header http.Header
}

// ProblemError is one of several faults.
type ProblemError struct {
	Message  string `json:"message" doc:"what is wrong"`
	Location string `json:"location,omitempty" doc:"where: query.limit, body.cluster, clusters[0].name"`
	Line     int    `json:"line,omitempty" doc:"line in the body, from 1"`
	Column   int    `json:"column,omitempty" doc:"column in the body, from 1"`
	Hint     string `json:"hint,omitempty" doc:"what would be right"`
}

// String gives the fault as LINE:COLUMN: LOCATION: MESSAGE - HINT, without the parts that are not known.
func (e ProblemError) String() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	}
	if e.Location != "" {
		fmt.Fprintf(&b, "%s: ", e.Location)
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		fmt.Fprintf(&b, " - %s", e.Hint)
	}
	return b.String()
}

// NewProblem makes a problem with the title and type that belong to status and code.
func NewProblem(status int, code, detail string) *Problem {
	return &Problem{Type: ProblemTypePrefix + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error gives the detail and the single faults in one line.
func (p *Problem) Error() string {
	parts := []string{p.Detail}
	if p.Detail == "" {
		parts[0] = p.Title
	}
	for _, e := range p.Errors {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, "; ")
}

// GetStatus gives the HTTP status (the OpenAPI framework asks for it by this name).
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders gives the header fields that go with the problem: Retry-After, WWW-Authenticate, Allow, Accept.
func (p *Problem) GetHeaders() http.Header { return p.header }

// With adds a header field and returns the problem.
func (p *Problem) With(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// ContentType gives the media type of a problem (RFC 9457 section 3).
func (p *Problem) ContentType(string) string { return "application/problem+json" }
