package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type explainInput struct {
	wire.ReadParams
	Body wire.Explain
}

type explainOutput struct {
	wire.ReadHeaders
	Body wire.Explanation
}

type moveSessionInput struct {
	Key  string `path:"key" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits"`
	Body wire.SessionMove
}

type moveSessionOutput struct {
	Body wire.Session
}

type dropSessionInput struct {
	Key string `path:"key" pattern:"^[0-9a-f]{32}$" doc:"32 hexadecimal digits"`
}

func (a *API) registerExplain() {
	conflicts := func(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict) }
	register(a, route{
		method: http.MethodPost, path: "/v1/sessions/explain", id: "explain-session", role: wire.RoleOperator, permission: permit.SessionsExplain, status: http.StatusOK,
		summary: "Every decision about a session, and what would become of its next request",
		about:   "The id travels in the body, because addresses of requests end up in logs. It changes nothing.",
	}, a.explainSession)
	register(a, route{
		method: http.MethodPost, path: "/v1/sessions/{key}/move", id: "move-session", role: wire.RoleOperator, permission: permit.SessionsWrite, status: http.StatusOK,
		summary: "Move a session to another instance of its cluster", edit: conflicts,
	}, a.moveSession)
	register(a, route{
		method: http.MethodDelete, path: "/v1/sessions/{key}", id: "drop-session", role: wire.RoleOperator, permission: permit.SessionsWrite,
		summary: "Drop an assignment", about: "The next request of the session is treated as one of a new session, or repairs the table from its cookie.", edit: conflicts,
	}, a.dropSession)
}

func (a *API) explainSession(ctx context.Context, in *explainInput) (*explainOutput, error) {
	b := &in.Body
	given := 0
	for _, s := range []string{b.Key, b.Session, b.Cookie} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return nil, invalidRequest("body", "needs exactly one of key, session and cookie")
	}
	if b.Key == "" && (b.Cluster == "" || b.ContextRoot == "") {
		return nil, invalidRequest("body", "a session id or a cookie means nothing without its module: cluster and contextRoot are missing")
	}
	headers, members, err := a.gatherOrFail(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	var key fsm.Key
	var looked wire.LookupResult
	if b.Key != "" {
		key, err = fsm.ParseKey(b.Key)
	} else {
		key, err = a.keyOf(&wire.Lookup{Cluster: b.Cluster, Host: b.Host, ContextRoot: b.ContextRoot, Session: b.Session, Cookie: b.Cookie}, &looked)
	}
	if err != nil {
		return nil, err
	}
	out := wire.Explanation{Key: key.String(), Cookie: looked.Cookie, Decisions: []wire.Decision{}}
	list, whole := a.opt.State.Decisions(key)
	out.Whole = whole
	for _, d := range list {
		out.Decisions = append(out.Decisions, wire.Decision{Index: d.Index, Time: d.Time, From: a.instanceName(d.From), To: a.instanceName(d.To), Reason: d.Reason.String()})
	}
	e := explainer{a: a, o: a.opt.State.Operating(), now: a.opt.State.Now(), nodes: a.reports(members)}
	as, found := a.opt.State.Lookup(key)
	if found {
		s := a.session(a.opt.State.Revision().Config, key, as)
		out.Found, out.Session = true, &s
		out.Next = e.assigned(as, &s)
	} else {
		out.Next = e.unknown(looked.Cookie, len(list) > 0)
	}
	if v := a.opt.State.Stored(fsm.StoreKey{Space: fsm.SpaceSessions, Key: string(key[:])}); v != nil {
		out.Data = &wire.StoredData{ETag: a.versionTag(v.Version), Type: v.Type, Bytes: v.Size(), Changed: v.Changed(), Expires: v.Expires()}
	}
	return &explainOutput{headers, out}, nil
}

// gatherOrFail is gather for questions whose answer must be as fresh as asked for.
func (a *API) gatherOrFail(ctx context.Context, f wire.ReadParams) (wire.ReadHeaders, []Member, error) {
	headers, err := a.settle(ctx, f)
	if err != nil {
		return headers, nil, err
	}
	return headers, a.opt.Node.Members(ctx), nil
}

// instanceName names an instance as CLUSTER/INSTANCE, empty for none.
func (a *API) instanceName(id fsm.InstanceID) string {
	if id == 0 {
		return ""
	}
	ref, ok := a.opt.State.InstanceRef(id)
	if !ok {
		return fmt.Sprintf("unknown instance %d", id)
	}
	return ref.Cluster + "/" + ref.Instance
}

func noSession() error {
	return notFoundf("The table has no assignment with this key: the session has expired, or there never was one.")
}

func (a *API) moveSession(ctx context.Context, in *moveSessionInput) (*moveSessionOutput, error) {
	key, err := fsm.ParseKey(in.Key)
	if err != nil {
		return nil, invalidRequest("path.key", "is not 32 hexadecimal digits")
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	as, ok := a.opt.State.Lookup(key)
	if !ok {
		return nil, noSession()
	}
	from, _ := a.opt.State.InstanceRef(as.Instance)
	target, err := a.moveTarget(from, in.Body)
	if err != nil {
		return nil, err
	}
	res, err := a.record(ctx, fsm.SessionOp{Kind: fsm.OpMove, Key: key, Instance: target, Expect: as.Instance, Reason: fsm.ReasonOperator, Module: as.Module})
	if err != nil {
		return nil, err
	}
	switch res.Code {
	case fsm.CodeOK:
	case fsm.CodeMismatch:
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "Nothing was moved: the session went to "+a.instanceName(res.Instance)+" in the meantime.")
	case fsm.CodeFull:
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "Nothing was moved: instance "+in.Body.Instance+" has as many sessions as it may have (maxSessions).")
	default:
		return nil, noSession()
	}
	a.opt.Logger.InfoContext(ctx, "session moved", "key", key.String(), "from", from.Instance, "to", in.Body.Instance, "cluster", from.Cluster, "actor", callOf(ctx).who.actor)
	as.Instance, as.Reason, as.Index = target, fsm.ReasonOperator, res.Index
	return &moveSessionOutput{a.session(a.opt.State.Revision().Config, key, as)}, nil
}

// moveTarget finds the instance that a session of an instance may move to. Sessions never leave their cluster.
func (a *API) moveTarget(from fsm.InstanceRef, m wire.SessionMove) (fsm.InstanceID, error) {
	refuse := func(format string, args ...any) (fsm.InstanceID, error) {
		return 0, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "Nothing was moved: "+fmt.Sprintf(format, args...)+".")
	}
	if m.Cluster != "" && m.Cluster != from.Cluster {
		return refuse("the session is of cluster %s, and sessions never go from one cluster to another", from.Cluster)
	}
	o := a.opt.State.Operating()
	for i := range o.Config.Clusters {
		cl := &o.Config.Clusters[i]
		for j := range cl.Instances {
			in := &cl.Instances[j]
			if cl.Name != from.Cluster || in.Name != m.Instance {
				continue
			}
			id, known := a.opt.State.InstanceID(cl.Name, in.Name)
			switch {
			case !known:
				return refuse("instance %s is not known to the group yet", in.Name)
			case m.Force:
			case o.InstancePhase(cl.Name, in) == fsm.PhaseStopped:
				return refuse("instance %s is stopped, so the session would fail over at its next request (force moves it all the same)", in.Name)
			case verdict(o, id).State == fsm.HealthFailed:
				return refuse("instance %s has failed, so the session would fail over at its next request (force moves it all the same)", in.Name)
			}
			return id, nil
		}
	}
	return refuse("cluster %s has no instance %s; sessions never go from one cluster to another", from.Cluster, m.Instance)
}

// verdict is the group's view of an instance's health.
func verdict(o *fsm.Operating, id fsm.InstanceID) fsm.Verdict {
	for _, v := range o.Verdicts {
		if v.Instance == id {
			return v
		}
	}
	return fsm.Verdict{Instance: id, State: fsm.HealthUp}
}

func (a *API) dropSession(ctx context.Context, in *dropSessionInput) (*struct{}, error) {
	key, err := fsm.ParseKey(in.Key)
	if err != nil {
		return nil, invalidRequest("path.key", "is not 32 hexadecimal digits")
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	if _, ok := a.opt.State.Lookup(key); !ok {
		return nil, noSession()
	}
	res, err := a.record(ctx, fsm.SessionOp{Kind: fsm.OpDrop, Key: key, Reason: fsm.ReasonOperator})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, noSession()
	}
	a.opt.Logger.InfoContext(ctx, "session dropped", "key", key.String(), "actor", callOf(ctx).who.actor)
	return nil, nil
}

// record has the group apply a session operation, under the rules of propose.
func (a *API) record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	bounded, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	return a.opt.Node.Record(bounded, op)
}
