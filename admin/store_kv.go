package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// maxWatches bounds the watches that wait on one node.
	maxWatches = 128
	// maxListed bounds the values of one page, in bytes.
	maxListed = 4 << 20
)

type getKeyInput struct {
	wire.ReadParams
	wire.KeyParams
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"answer 304 when the value has one of these versions"`
}

type putKeyInput struct {
	wire.KeyParams
	wire.PutParams
	RawBody []byte
}

type patchKeyInput struct {
	wire.KeyParams
	wire.WriteParams
	RawBody []byte `contentType:"application/merge-patch+json"`
}

type deleteKeyInput struct {
	wire.KeyParams
	wire.WriteParams
}

type listKeysInput struct {
	wire.ReadParams
	wire.ModuleParams
	Prefix       string `query:"prefix" maxLength:"512" doc:"only keys that begin so"`
	After        string `query:"after" maxLength:"512" doc:"next of the page before"`
	Limit        int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Values       bool   `query:"values" doc:"with the values, in base64"`
	ChangedSince uint64 `query:"changedSince" doc:"index of a list: wait until a key of the module has changed since, or for waitSeconds"`
	WaitSeconds  int    `query:"waitSeconds" minimum:"1" maximum:"60" default:"30" doc:"with changedSince"`
}

type listKeysOutput struct {
	wire.ReadHeaders
	Body wire.StoredKeys
}

type clearKeysInput struct {
	wire.ModuleParams
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	All            bool   `query:"all" required:"true" doc:"true, to show that all keys of the module are meant"`
}

func (a *API) registerKeys() {
	const path = "/v1/kv/{cluster}/{key}"
	register(a, route{method: http.MethodGet, path: path, id: "get-key", role: wire.RoleApplication, permission: permit.StoreUse, summary: "The value of a key of a module", edit: givesValue}, a.getKey)
	register(a, route{method: http.MethodPut, path: path, id: "put-key", role: wire.RoleApplication, permission: permit.StoreUse, status: http.StatusNoContent, body: fsm.MaxStoredValue,
		summary: "Write the value of a key", about: "It stays for ever, or for ttlSeconds after its last write. The answer is there when a majority of the nodes has it.", edit: takesValue}, a.putKey)
	register(a, route{method: http.MethodPatch, path: path, id: "patch-key", role: wire.RoleApplication, permission: permit.StoreUse, status: http.StatusNoContent, body: fsm.MaxStoredValue,
		summary: "Change a part of the value of a key", about: "A JSON merge patch (RFC 7396); only what it changes goes through the log.", edit: takesPatch}, a.patchKey)
	register(a, route{method: http.MethodDelete, path: path, id: "delete-key", role: wire.RoleApplication, permission: permit.StoreUse, summary: "Remove a key", edit: storeErrors}, a.deleteKey)
	register(a, route{method: http.MethodGet, path: "/v1/kv/{cluster}", id: "list-keys", role: wire.RoleApplication, permission: permit.StoreUse, summary: "The keys of a module, page by page; or wait for a change",
		about: "With changedSince the answer waits until a key of the module has been written or removed behind that index. It may come without a change of what was asked for: compare.",
		edit: func(op *huma.Operation) {
			op.Metadata[waitsKey] = true
			op.Errors = append(op.Errors, http.StatusNotFound)
		}}, a.listKeys)
	register(a, route{method: http.MethodDelete, path: "/v1/kv/{cluster}", id: "clear-keys", role: wire.RoleOperator, permission: permit.SessionsWrite, summary: "Remove all keys of a module, also of one that has no store any more",
		about: "They are the application's, so the permission store:use is needed, too.", edit: storeErrors}, a.clearKeys)
}

func (a *API) keyOfModule(ctx context.Context, p wire.KeyParams) (*storeModule, fsm.StoreKey, error) {
	m, err := a.storeModule(ctx, p.ModuleParams, fsm.SpaceKV)
	if err != nil {
		return nil, fsm.StoreKey{}, err
	}
	return m, fsm.StoreKey{Space: fsm.SpaceKV, Module: m.id, Key: p.Key}, nil
}

func (a *API) getKey(ctx context.Context, in *getKeyInput) (*valueOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	_, key, err := a.keyOfModule(ctx, in.KeyParams)
	if err != nil {
		return nil, err
	}
	return a.readValue(ctx, headers, key, in.IfNoneMatch)
}

func (a *API) putKey(ctx context.Context, in *putKeyInput) (*writtenOutput, error) {
	m, key, err := a.keyOfModule(ctx, in.KeyParams)
	if err != nil {
		return nil, err
	}
	return a.putValue(ctx, m, key, &in.PutParams, in.RawBody)
}

func (a *API) patchKey(ctx context.Context, in *patchKeyInput) (*writtenOutput, error) {
	m, key, err := a.keyOfModule(ctx, in.KeyParams)
	if err != nil {
		return nil, err
	}
	return a.patchValue(ctx, m, key, &in.WriteParams, in.RawBody)
}

func (a *API) deleteKey(ctx context.Context, in *deleteKeyInput) (*struct{}, error) {
	_, key, err := a.keyOfModule(ctx, in.KeyParams)
	if err != nil {
		return nil, err
	}
	return a.deleteValue(ctx, key, &in.WriteParams)
}

func (a *API) listKeys(ctx context.Context, in *listKeysInput) (*listKeysOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	m, err := a.storeModule(ctx, in.ModuleParams, fsm.SpaceKV)
	if err != nil {
		return nil, err
	}
	if in.ChangedSince > 0 {
		if err := a.watchKeys(ctx, m.id, in.ChangedSince, time.Duration(in.WaitSeconds)*time.Second); err != nil {
			return nil, err
		}
		if err := a.whoNow(ctx); err != nil { // what was written since is for those who may read it now
			return nil, err
		}
		if m, err = a.storeModule(ctx, in.ModuleParams, fsm.SpaceKV); err != nil {
			return nil, err
		}
		headers.Index = a.opt.State.Applied()
	}
	out := &listKeysOutput{headers, wire.StoredKeys{Keys: []wire.StoredKey{}, Index: headers.Index}}
	list, more := a.opt.State.StoredKeys(m.id, in.Prefix, in.After, in.Limit)
	size := 0
	for i, v := range list {
		if size += v.Size(); in.Values && i > 0 && size > maxListed {
			more = true
			break
		}
		k := wire.StoredKey{Key: v.Key(), ETag: a.versionTag(v.Version), Type: v.Type, Bytes: v.Size(), Changed: v.Changed(), Expires: v.Expires()}
		if in.Values {
			if k.Data, err = a.bytesOf(ctx, v); err != nil {
				return nil, err
			}
		}
		out.Body.Keys = append(out.Body.Keys, k)
	}
	if more {
		out.Body.Next = out.Body.Keys[len(out.Body.Keys)-1].Key
	}
	return out, nil
}

// watchKeys waits until a key of the module has changed behind an index, the time is up, or the node leaves.
func (a *API) watchKeys(ctx context.Context, m fsm.ModuleID, since uint64, wait time.Duration) error {
	select {
	case a.watches <- struct{}{}:
	default:
		return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node has as many watches as it takes; ask another node.").With("Retry-After", "5")
	}
	defer func() { <-a.watches }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		news := a.opt.State.StoreNews()
		if a.opt.State.KeysChanged(m) > since {
			return nil
		}
		select {
		case <-news:
		case <-timer.C:
			return nil
		case <-a.leaving:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// clearKeys goes by the name of the module alone: one that is configured no more may have left keys behind.
func (a *API) clearKeys(ctx context.Context, in *clearKeysInput) (*struct{}, error) {
	if !in.All {
		return nil, invalidRequest("query.all", "must be true: all keys of the module go")
	}
	if err := a.mayStore(ctx, in.Cluster); err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	p := in.ModuleParams
	cl := clusterOf(a.opt.State.Operating().Config, p.Cluster)
	if cl == nil && p.ContextRoot == "" {
		return nil, invalidRequest("query.contextRoot", "there is no cluster %.128q (any more): say which one of its modules had the keys (--module of the commands)", p.Cluster)
	}
	if cl != nil {
		switch mod, err := moduleOf(cl, p); {
		case err == nil:
			p.Host, p.ContextRoot = mod.Host, mod.ContextRoot
		case p.ContextRoot == "":
			return nil, err
		}
	}
	id, ok := a.opt.State.ModuleID(p.Cluster, strings.ToLower(p.Host), p.ContextRoot)
	if !ok {
		return nil, notFoundf("Cluster %.128q never had a module %.253s%.1024s.", p.Cluster, p.Host, p.ContextRoot)
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.StoreClear{RequestID: requestID(in.IdempotencyKey, []byte("clear-keys"), []byte(actor), []byte{byte(id >> 8), byte(id)}), Space: fsm.SpaceKV, Module: id, Actor: actor})
	if err != nil {
		return nil, err
	}
	if res.Code != fsm.CodeOK {
		return nil, a.stored(res)
	}
	return nil, nil
}
