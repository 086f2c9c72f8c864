package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// bodyTimeout is how long a client may take for a whole body.
const bodyTimeout = 10 * time.Second

// yamlNames are the older names of application/yaml (RFC 9512 section 2.1).
var yamlNames = []string{"application/x-yaml", "text/yaml", "text/x-yaml", "text/vnd.yaml"}

// readBody is a middleware of the framework: it checks the type of the body and reads it whole, within limits, before
// anything looks at it.
func (a *API) readBody(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.Metadata[waitsKey] != nil {
		_, w := humago.Unwrap(ctx)
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // that of the request would end the wait; not every writer of a test has deadlines
	}
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	limit := op.Metadata[bodyLimitKey].(int64)
	check := checkType
	if op.Metadata[anyTypeKey] != nil {
		check = anyType
	}
	p := check(r, op.RequestBody)
	if p == nil && op.Metadata[streamedKey] == nil {
		p = slurp(w, r, limit)
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	next(ctx)
}

// checkType compares the content type with what the operation takes and writes it back in its plain form. A missing type
// is refused too: a browser can send such a body to another site without asking first.
func checkType(r *http.Request, body *huma.RequestBody) *wire.Problem {
	taken := slices.Sorted(maps.Keys(body.Content))
	refuse := func(format string, args ...any) *wire.Problem {
		return wire.NewProblem(http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType,
			fmt.Sprintf(format, args...)+"; send "+strings.Join(taken, " or ")+".").With("Accept", strings.Join(taken, ", "))
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse("Compressed bodies are not taken")
	}
	values := r.Header.Values("Content-Type")
	if len(values) != 1 {
		return refuse("The request needs one Content-Type")
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return refuse("The Content-Type is malformed")
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") && !strings.EqualFold(cs, "us-ascii") {
		return refuse("The charset must be UTF-8")
	}
	if slices.Contains(yamlNames, media) {
		media = "application/yaml"
	}
	if _, ok := body.Content[media]; !ok {
		return refuse("The Content-Type is another one than this route takes")
	}
	r.Header.Set("Content-Type", media)
	return nil
}

// anyType takes any media type, one at most. What a client has compressed for the way would be kept as it came, and given back without a word of that.
func anyType(r *http.Request, _ *huma.RequestBody) *wire.Problem {
	refuse := func(text string) *wire.Problem {
		return wire.NewProblem(http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType, text).With("Accept", "*/*")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse("Compressed bodies are not taken: leave Content-Encoding out, or say in the Content-Type what the bytes are.")
	}
	if len(r.Header.Values("Content-Type")) > 1 {
		return refuse("The request has more than one Content-Type.")
	}
	return nil
}

// slurp reads the body and puts it back as bytes. The connection ends after a refusal, so that the rest of the body is
// not read.
func slurp(w http.ResponseWriter, r *http.Request, limit int64) *wire.Problem {
	tooLarge := func() *wire.Problem {
		return wire.NewProblem(http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge,
			fmt.Sprintf("The body is larger than %d bytes.", limit)).With("Connection", "close")
	}
	if r.ContentLength > limit {
		return tooLarge()
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer of a test has deadlines
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	var netErr net.Error
	switch {
	case errors.As(err, &over):
		return tooLarge()
	case errors.As(err, &netErr) && netErr.Timeout():
		return wire.NewProblem(http.StatusRequestTimeout, wire.CodeRequestTimeout,
			fmt.Sprintf("The body was not there within %v.", bodyTimeout)).With("Connection", "close")
	case err != nil:
		return wire.NewProblem(http.StatusBadRequest, wire.CodeBadRequest, "The body could not be read to its end.").With("Connection", "close")
	}
	// After a refusal the deadline stays: the server reads on for a while to keep the connection usable, at the client's pace.
	control.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.ContentLength = int64(len(data))
	return nil
}
