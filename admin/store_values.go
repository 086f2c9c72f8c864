package admin

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// valueOutput is a value as it was written.
type valueOutput struct {
	Status int
	wire.ReadHeaders
	ETag         string    `header:"ETag" doc:"version of the value"`
	ContentType  string    `header:"Content-Type"`
	LastModified time.Time `header:"Last-Modified" doc:"replicated time of the last write"`
	Expires      string    `header:"Holdfast-Expires" doc:"RFC 3339: when it goes without another write; absent: never"`
	Body         []byte
}

type writtenOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"version of the value after the write"`
}

// takesValue says in the OpenAPI document that the body is a value, and lets it be of any type.
func takesValue(op *huma.Operation) {
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	op.Metadata[anyTypeKey] = true
	storeErrors(op)
}

// takesPatch does so for a delta.
func takesPatch(op *huma.Operation) { storeErrors(op) }

// givesValue says that the answer is a value.
func givesValue(op *huma.Operation) {
	op.Responses = okResponse(map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}})
	op.Errors = append(op.Errors, http.StatusNotFound)
}

func storeErrors(op *huma.Operation) {
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusGatewayTimeout, http.StatusInsufficientStorage)
}

// value answers a read of a value that is in the log, or all but the bytes of one beside it; ifNoneMatch saves sending one that the caller has.
func (a *API) value(headers wire.ReadHeaders, v *fsm.Stored, ifNoneMatch string) (*valueOutput, error) {
	if v == nil {
		return nil, noValue()
	}
	out := &valueOutput{Status: http.StatusOK, ReadHeaders: headers, ETag: a.versionTag(v.Version), ContentType: v.Type, LastModified: v.Changed(), Body: v.Data}
	if !v.Expires().IsZero() {
		out.Expires = v.Expires().Format(time.RFC3339Nano)
	}
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == out.ETag { // weak comparison, RFC 9110 section 13.1.2
			out.Status, out.Body = http.StatusNotModified, nil
		}
	}
	return out, nil
}

// putValue writes a value.
func (a *API) putValue(ctx context.Context, m *storeModule, key fsm.StoreKey, p *wire.PutParams, data []byte) (*writtenOutput, error) {
	media := p.ContentType
	if media == "" {
		media = mediaBackup
	} else if _, _, err := mime.ParseMediaType(media); err != nil {
		return nil, invalidRequest("header.Content-Type", "is no media type")
	}
	if int64(len(data)) > m.maxValue {
		return nil, tooLarge(len(data), m.maxValue)
	}
	cond, version, err := a.conditions(p.IfMatch, p.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	put := &fsm.StorePut{StoreKey: key, If: cond, Version: version, TTL: time.Duration(p.TTLSeconds) * time.Second, Type: media, Data: data}
	put.RequestID = a.writeID(ctx, "put", key, &p.WriteParams, data)
	if a.beside(m, len(data)) {
		return a.putCopy(ctx, put)
	}
	return a.write(ctx, put)
}

// writeID is the id of a write.
func (a *API) writeID(ctx context.Context, verb string, key fsm.StoreKey, p *wire.WriteParams, data []byte) fsm.RequestID {
	return requestID(p.IdempotencyKey, []byte("store-"+verb), []byte(callOf(ctx).who.actor), []byte{byte(key.Space), byte(key.Module >> 8), byte(key.Module)}, []byte(key.Key), []byte(p.IfMatch), []byte(p.IfNoneMatch), data)
}

// write has the group apply a write. Without a leader the answer is there within a second.
func (a *API) write(ctx context.Context, c fsm.Command) (*writtenOutput, error) {
	if !a.opt.Node.Info().Quorum {
		return nil, ErrNoQuorum
	}
	res, err := a.propose(ctx, c)
	return a.written(res, err)
}

// written is the answer to a write that was proposed.
func (a *API) written(res fsm.Result, err error) (*writtenOutput, error) {
	if err != nil {
		return nil, err
	}
	if err := a.stored(res); err != nil {
		return nil, err
	}
	out := &writtenOutput{Status: http.StatusNoContent, ETag: a.versionTag(res.Version)}
	if res.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (a *API) deleteValue(ctx context.Context, key fsm.StoreKey, p *wire.WriteParams) (*struct{}, error) {
	cond, version, err := a.conditions(p.IfMatch, p.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	if cond == fsm.IfAbsent {
		return nil, wire.NewProblem(http.StatusBadRequest, wire.CodeInvalidPrecondition, "What is not there cannot be removed: leave If-None-Match out.")
	}
	if cond == fsm.IfPresent {
		cond = fsm.IfAny
	}
	_, err = a.write(ctx, &fsm.StoreDelete{RequestID: a.writeID(ctx, "delete", key, p, nil), StoreKey: key, If: cond, Version: version})
	return nil, err
}

// patchTries bounds how often a patch without If-Match is made anew because others have written meanwhile.
const patchTries = 32

// patchValue applies a JSON merge patch. The log gets the part of the value that changes (StoreSplice), of the version that the patch was made to; a value beside the log is written as a whole.
func (a *API) patchValue(ctx context.Context, m *storeModule, key fsm.StoreKey, p *wire.WriteParams, patch []byte) (*writtenOutput, error) {
	cond, version, err := a.conditions(p.IfMatch, p.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	if cond == fsm.IfAbsent {
		return nil, wire.NewProblem(http.StatusBadRequest, wire.CodeInvalidPrecondition, "A patch needs a value: leave If-None-Match out.")
	}
	if err := checkJSON(patch); err != nil {
		return nil, wire.NewProblem(http.StatusBadRequest, wire.CodeMalformedBody, "The patch is "+err.Error()+".")
	}
	for range patchTries {
		if err := a.sync(ctx); err != nil {
			return nil, err
		}
		v := a.opt.State.Stored(key)
		var next fsm.Command
		switch {
		case v == nil && cond == fsm.IfVersion:
			err = a.stored(fsm.Result{Code: fsm.CodeConflict, Message: "there is no value"})
		case v == nil:
			err = noValue()
		case cond == fsm.IfVersion && v.Version != version:
			err = a.stored(fsm.Result{Code: fsm.CodeConflict, Message: "the value has been changed meanwhile", Version: v.Version})
		default:
			if next, err = a.patch(ctx, m, key, v, patch); err != nil && a.opt.State.Stored(key) != v {
				continue // it was written while it was read
			}
		}
		id := a.writeID(ctx, "patch", key, p, patch)
		if err != nil {
			return a.patchedBefore(ctx, key, p, id, err)
		}
		out, err := a.writePatched(ctx, m, next, id)
		if problem := (*wire.Problem)(nil); cond == fsm.IfVersion || !errors.As(err, &problem) || problem.Code != wire.CodePreconditionFailed {
			return out, err
		}
	}
	return nil, refusedf("Others have written this value all the time, so the patch was not made: try again.")
}

// patchedBefore is for a patch that cannot be made, which why says: perhaps because this is the repetition of a request that has made it. The group knows by the request's id. What is
// proposed is for a version that no value has, so it changes nothing when the id is new.
func (a *API) patchedBefore(ctx context.Context, key fsm.StoreKey, p *wire.WriteParams, id fsm.RequestID, why error) (*writtenOutput, error) {
	if p.IdempotencyKey == "" {
		return nil, why
	}
	return a.doneBefore(ctx, key, id, why)
}

// doneBefore answers a write that cannot be done, which why says, as it was answered if it was done before.
func (a *API) doneBefore(ctx context.Context, key fsm.StoreKey, id fsm.RequestID, why error) (*writtenOutput, error) {
	out, err := a.write(ctx, &fsm.StoreSplice{RequestID: id, StoreKey: key})
	if problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodePreconditionFailed {
		return nil, why
	}
	return out, err
}
