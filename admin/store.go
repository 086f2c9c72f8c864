package admin

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// storeRoutes are those that applications call at the rate of their own requests.
var storeRoutes = map[string]bool{"/v1/session-data/{cluster}": true, "/v1/kv/{cluster}/{key}": true, "/v1/kv/{cluster}": true}

type getDataInput struct {
	wire.ReadParams
	wire.SessionParams
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"answer 304 when the value has one of these versions"`
}

type putDataInput struct {
	wire.SessionParams
	wire.PutParams
	RawBody []byte
}

type patchDataInput struct {
	wire.SessionParams
	wire.WriteParams
	RawBody []byte `contentType:"application/merge-patch+json"`
}

type deleteDataInput struct {
	wire.SessionParams
	wire.WriteParams
}

type keyDataInput struct {
	wire.ReadParams
	Key string `path:"key" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits"`
}

type dropDataInput struct {
	wire.WriteParams
	Key string `path:"key" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits"`
}

type storeOutput struct {
	wire.ReadHeaders
	Body wire.StoreReport
}

func (a *API) registerStore() {
	const path = "/v1/session-data/{cluster}"
	const about = "The session is named by the application's own session id in a header field, because addresses of requests end up in logs; the group keeps a keyed hash of it. " +
		"The data stays as long as the session has its assignment, and without one for ttlSeconds after the last write (default: one and a half times the idle time-out of the cluster)."
	register(a, route{method: http.MethodGet, path: path, id: "get-session-data", role: wire.RoleApplication, permission: permit.StoreUse, summary: "The data of a session", about: about, edit: givesValue}, a.getData)
	register(a, route{method: http.MethodPut, path: path, id: "put-session-data", role: wire.RoleApplication, permission: permit.StoreUse, status: http.StatusNoContent, body: fsm.MaxStoredValue,
		summary: "Write the data of a session", about: about + " The answer is there when a majority of the nodes has it.", edit: takesValue}, a.putData)
	register(a, route{method: http.MethodPatch, path: path, id: "patch-session-data", role: wire.RoleApplication, permission: permit.StoreUse, status: http.StatusNoContent, body: fsm.MaxStoredValue,
		summary: "Change a part of the data of a session", about: "A JSON merge patch (RFC 7396); only what it changes goes through the log.", edit: takesPatch}, a.patchData)
	register(a, route{method: http.MethodDelete, path: path, id: "delete-session-data", role: wire.RoleApplication, permission: permit.StoreUse, summary: "Remove the data of a session", about: "As at the end of a session.", edit: storeErrors}, a.deleteData)
	register(a, route{method: http.MethodGet, path: "/v1/sessions/{key}/data", id: "get-data-of-key", role: wire.RoleOperator, permission: permit.SessionsExplain, summary: "The data of the session with this key", about: "It is the application's, so the permission store:use is needed, too.", edit: givesValue}, a.getDataOfKey)
	register(a, route{method: http.MethodDelete, path: "/v1/sessions/{key}/data", id: "delete-data-of-key", role: wire.RoleOperator, permission: permit.SessionsWrite, summary: "Remove the data of the session with this key", edit: storeErrors}, a.deleteDataOfKey)
	register(a, route{method: http.MethodGet, path: "/v1/store", id: "get-store", role: wire.RoleViewer, permission: permit.StatusRead, summary: "How much the modules keep in the store"}, a.getStore)
}

// sessionData finds the module and the key of a session.
func (a *API) sessionData(ctx context.Context, p wire.SessionParams) (*storeModule, fsm.StoreKey, error) {
	m, err := a.storeModule(ctx, p.ModuleParams, fsm.SpaceSessions)
	if err != nil {
		return nil, fsm.StoreKey{}, err
	}
	key, err := a.opt.Sessions.Key(m.cluster, m.host, m.root, p.Session)
	switch {
	case unavailable(err):
		return nil, fsm.StoreKey{}, err
	case err != nil:
		return nil, fsm.StoreKey{}, wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeSessionIDNotInCluster, "The session id cannot be one of this module.")
	}
	return m, fsm.StoreKey{Space: fsm.SpaceSessions, Module: m.id, Key: string(key[:])}, nil
}

func (a *API) getData(ctx context.Context, in *getDataInput) (*valueOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	_, key, err := a.sessionData(ctx, in.SessionParams)
	if err != nil {
		return nil, err
	}
	return a.readValue(ctx, headers, key, in.IfNoneMatch)
}

func (a *API) putData(ctx context.Context, in *putDataInput) (*writtenOutput, error) {
	m, key, err := a.sessionData(ctx, in.SessionParams)
	if err != nil {
		return nil, err
	}
	return a.putValue(ctx, m, key, &in.PutParams, in.RawBody)
}

func (a *API) patchData(ctx context.Context, in *patchDataInput) (*writtenOutput, error) {
	m, key, err := a.sessionData(ctx, in.SessionParams)
	if err != nil {
		return nil, err
	}
	return a.patchValue(ctx, m, key, &in.WriteParams, in.RawBody)
}

func (a *API) deleteData(ctx context.Context, in *deleteDataInput) (*struct{}, error) {
	_, key, err := a.sessionData(ctx, in.SessionParams)
	if err != nil {
		return nil, err
	}
	return a.deleteValue(ctx, key, &in.WriteParams)
}

// keyOfSession is the place of the data of a key that operators see. The pattern of the parameter has checked the digits.
func keyOfSession(digits string) fsm.StoreKey {
	key, err := hex.DecodeString(digits)
	if err != nil {
		return fsm.StoreKey{Space: fsm.SpaceSessions}
	}
	return fsm.StoreKey{Space: fsm.SpaceSessions, Key: string(key)}
}

func (a *API) getDataOfKey(ctx context.Context, in *keyDataInput) (*valueOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	key := keyOfSession(in.Key)
	v := a.opt.State.Stored(key)
	if v == nil {
		v = a.opt.State.StoredLost(key)
	}
	if v != nil {
		ref, _ := a.opt.State.ModuleRef(v.Module)
		if err := a.mayStore(ctx, ref.Cluster); err != nil {
			return nil, err
		}
	}
	return a.readValue(ctx, headers, key, "")
}

func (a *API) deleteDataOfKey(ctx context.Context, in *dropDataInput) (*struct{}, error) {
	out, err := a.deleteValue(ctx, keyOfSession(in.Key), &in.WriteParams)
	if err == nil {
		a.opt.Logger.InfoContext(ctx, "session data removed", "key", in.Key, "actor", callOf(ctx).who.actor)
	}
	return out, err
}

func (a *API) getStore(ctx context.Context, in *wire.ReadParams) (*storeOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	list, total := a.opt.State.StoreUse()
	out := &storeOutput{headers, wire.StoreReport{Modules: []wire.StoreUse{}, Bytes: total, MaxBytes: fsm.MaxStored}}
	c := a.opt.State.Operating().Config
	for _, u := range list {
		ref, _ := a.opt.State.ModuleRef(u.Module)
		use := wire.StoreUse{Cluster: ref.Cluster, Host: ref.Host, ContextRoot: ref.ContextRoot, Sessions: u.Sessions, Keys: u.Keys, Bytes: u.Bytes}
		if cl := clusterOf(c, ref.Cluster); cl != nil {
			if m, err := moduleOf(cl, wire.ModuleParams{Cluster: ref.Cluster, Host: ref.Host, ContextRoot: ref.ContextRoot}); err == nil && m.Store != nil {
				use.MaxBytes = int64(m.Store.MaxBytes)
			}
		}
		out.Body.Modules = append(out.Body.Modules, use)
	}
	return out, nil
}
