package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// defaultIdle is the idle timeout of the sessions of clusters and instances that are no longer configured.
const defaultIdle = 30 * time.Minute

type listSessionsInput struct {
	wire.ReadParams
	Cluster  string `query:"cluster" maxLength:"128" doc:"only sessions of this cluster"`
	Instance string `query:"instance" maxLength:"128" doc:"only sessions of instances of this name"`
	Host     string `query:"host" maxLength:"253" doc:"host of the module, with contextRoot"`
	Root     string `query:"contextRoot" maxLength:"1024" doc:"only sessions that were recorded in the module of this context root"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor   string `query:"cursor" pattern:"^[0-9a-f]{1,16}$" doc:"next of the page before"`
}

type listSessionsOutput struct {
	wire.ReadHeaders
	Body wire.SessionPage
}

type getSessionInput struct {
	wire.ReadParams
	Key string `path:"key" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits"`
}

type sessionOutput struct {
	wire.ReadHeaders
	Body wire.Session
}

type lookupInput struct {
	wire.ReadParams
	Body wire.Lookup
}

type lookupOutput struct {
	wire.ReadHeaders
	Body wire.LookupResult
}

func (a *API) registerSessions() {
	register(a, route{
		method: http.MethodGet, path: "/v1/sessions", id: "list-sessions", role: wire.RoleViewer, permission: permit.SessionsRead,
		summary: "The assignments, page by page",
		about:   "A session that is there during the whole walk is met exactly once.",
	}, a.listSessions)
	register(a, route{
		method: http.MethodGet, path: "/v1/sessions/{key}", id: "get-session", role: wire.RoleViewer, permission: permit.SessionsRead,
		summary: "One assignment by its key",
	}, a.getSession)
	register(a, route{
		method: http.MethodPost, path: "/v1/sessions/lookup", id: "lookup-session", role: wire.RoleViewer, permission: permit.SessionsRead, status: http.StatusOK,
		summary: "The assignment of an application's session id or of an insert cookie",
		about:   "The id travels in the body, because addresses of requests end up in logs. It changes nothing.",
	}, a.lookupSession)
}

func (a *API) listSessions(ctx context.Context, in *listSessionsInput) (*listSessionsOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	var cursor uint64
	if in.Cursor != "" {
		if cursor, err = strconv.ParseUint(in.Cursor, 16, 64); err != nil {
			return nil, invalidRequest("query.cursor", "is not a cursor that this API gave out")
		}
	}
	if in.Host != "" && in.Root == "" {
		return nil, invalidRequest("query.host", "means a module only together with contextRoot")
	}
	wanted := map[fsm.InstanceID]bool{} // remembered answers of the filter
	inModule := map[fsm.ModuleID]bool{}
	keep := func(_ fsm.Key, as fsm.Assignment) bool {
		ok, known := wanted[as.Instance]
		if !known {
			ref, _ := a.opt.State.InstanceRef(as.Instance)
			ok = (in.Cluster == "" || ref.Cluster == in.Cluster) && (in.Instance == "" || ref.Instance == in.Instance)
			wanted[as.Instance] = ok
		}
		return ok && (in.Root == "" || a.isModule(inModule, as.Module, in.Host, in.Root)) && ctx.Err() == nil
	}
	entries, next := a.opt.State.Scan(cursor, in.Limit, keep)
	out := &listSessionsOutput{ReadHeaders: headers, Body: wire.SessionPage{Sessions: []wire.Session{}}}
	c := a.opt.State.Revision().Config
	for _, e := range entries {
		out.Body.Sessions = append(out.Body.Sessions, a.session(c, e.Key, e.Assignment))
	}
	if next != 0 {
		out.Body.Next = strconv.FormatUint(next, 16)
	}
	return out, ctx.Err()
}

// isModule remembers its answers in known.
func (a *API) isModule(known map[fsm.ModuleID]bool, id fsm.ModuleID, host, contextRoot string) bool {
	is, ok := known[id]
	if !ok {
		ref, named := a.opt.State.ModuleRef(id)
		is = named && ref.Host == host && ref.ContextRoot == contextRoot
		known[id] = is
	}
	return is
}

// session describes one assignment.
func (a *API) session(c *config.Config, key fsm.Key, as fsm.Assignment) wire.Session {
	ref, _ := a.opt.State.InstanceRef(as.Instance)
	idle := defaultIdle
	if i := slices.IndexFunc(c.Clusters, func(c config.Cluster) bool { return c.Name == ref.Cluster }); i >= 0 {
		idle = time.Duration(c.Clusters[i].Affinity.IdleTimeout)
	}
	// Seen is coarse by half an idle timeout (see the touches of the data plane), so a session goes at one and a half.
	out := wire.Session{Key: key.String(), Cluster: ref.Cluster, Instance: ref.Instance, Seen: as.SeenAt(), Expires: as.SeenAt().Add(idle + idle/2),
		Reason: as.Reason.String(), Index: as.Index}
	if m, ok := a.opt.State.ModuleRef(as.Module); ok {
		out.Host, out.ContextRoot = m.Host, m.ContextRoot
	}
	return out
}

func (a *API) getSession(ctx context.Context, in *getSessionInput) (*sessionOutput, error) {
	var key fsm.Key
	if n, err := hex.Decode(key[:], []byte(in.Key)); err != nil || n != len(key) {
		return nil, invalidRequest("path.key", "is not 32 hexadecimal digits")
	}
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	as, ok := a.opt.State.Lookup(key)
	if !ok {
		return nil, notFoundf("The table has no assignment with this key: the session has expired, or there never was one.")
	}
	return &sessionOutput{headers, a.session(a.opt.State.Revision().Config, key, as)}, nil
}

func (a *API) lookupSession(ctx context.Context, in *lookupInput) (*lookupOutput, error) {
	b := &in.Body
	if (b.Session == "") == (b.Cookie == "") {
		return nil, invalidRequest("body", "needs either session or cookie")
	}
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	out := &lookupOutput{ReadHeaders: headers}
	key, err := a.keyOf(b, &out.Body)
	if err != nil {
		return nil, err
	}
	out.Body.Key = key.String()
	if as, ok := a.opt.State.Lookup(key); ok {
		s := a.session(a.opt.State.Revision().Config, key, as)
		out.Body.Found, out.Body.Session = true, &s
	}
	return out, nil
}

// keyOf finds the key; what a cookie says besides goes into out. The problem does not repeat the error of the data plane,
// which was made from what the caller sent.
func (a *API) keyOf(b *wire.Lookup, out *wire.LookupResult) (fsm.Key, error) {
	unrecognised := func(what string) error {
		cl := clusterOf(a.opt.State.Operating().Config, b.Cluster)
		if cl == nil || !slices.ContainsFunc(cl.Modules, func(m config.Module) bool { return m.Host == b.Host && m.ContextRoot == b.ContextRoot }) {
			return wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeSessionIDNotInCluster,
				fmt.Sprintf("There is no module with the context root %s%s in a cluster %s, so the %s cannot be looked up. 'holdfast config show' has the modules.", b.ContextRoot, onHost(b.Host), b.Cluster, what))
		}
		return wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeSessionIDNotInCluster,
			"The "+what+" does not belong to this cluster, host and context root. The context root is the module's, as 'holdfast config show' has it.")
	}
	if b.Session != "" {
		key, err := a.opt.Sessions.Key(b.Cluster, b.Host, b.ContextRoot, b.Session)
		if unavailable(err) {
			return key, err
		} else if err != nil {
			return key, unrecognised("session id")
		}
		return key, nil
	}
	c, err := a.opt.Sessions.OpenCookie(b.Cluster, b.Host, b.ContextRoot, b.Cookie)
	if unavailable(err) {
		return c.Key, err
	} else if err != nil {
		return c.Key, unrecognised("cookie")
	}
	ref, _ := a.opt.State.InstanceRef(c.Instance)
	out.Cookie = &wire.Cookie{Cluster: ref.Cluster, Instance: ref.Instance, Epoch: c.Epoch, Index: c.Index, Provisional: c.Provisional}
	return c.Key, nil
}

// unavailable: not the id is wrong, the node cannot tell yet.
func onHost(host string) string {
	if host == "" {
		return ""
	}
	return " and the host " + host
}

func unavailable(err error) bool { return errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrClosed) }
