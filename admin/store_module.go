package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// storeModule is a module that has a store.
type storeModule struct {
	id          fsm.ModuleID
	cluster     string
	host, root  string
	maxValue    int64
	copies      config.Copies
	idleTimeout config.Duration
}

// storeModule finds the module, and whether the caller may use its store. What this node does not know it asks the leader for once.
func (a *API) storeModule(ctx context.Context, p wire.ModuleParams, space fsm.Space) (*storeModule, error) {
	if err := a.mayStore(ctx, p.Cluster); err != nil {
		return nil, err
	}
	m, err := a.findStore(p, space)
	if err == nil {
		return m, nil
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	return a.findStore(p, space)
}

// mayStore refuses whoever may not use the store of a cluster's modules.
func (a *API) mayStore(ctx context.Context, cluster string) error {
	if who := &callOf(ctx).who; !who.can.HasIn(permit.StoreUse, cluster) {
		return who.forbidden(permit.StoreUse, cluster)
	}
	return nil
}

func (a *API) findStore(p wire.ModuleParams, space fsm.Space) (*storeModule, error) {
	cl := clusterOf(a.opt.State.Operating().Config, p.Cluster)
	if cl == nil {
		return nil, notFoundf("There is no cluster %.128q.", p.Cluster)
	}
	mod, err := moduleOf(cl, p)
	if err != nil {
		return nil, err
	}
	s := mod.Store
	if s == nil || space == fsm.SpaceSessions && !s.Sessions || space == fsm.SpaceKV && !s.KV {
		field := map[fsm.Space]string{fsm.SpaceSessions: "sessions", fsm.SpaceKV: "kv"}[space]
		return nil, notFoundf("Module %s of cluster %s keeps no %s: store: {%s: true} in its configuration has it do so.", mod.Host+mod.ContextRoot, cl.Name, space, field)
	}
	id, ok := a.opt.State.ModuleID(cl.Name, mod.Host, mod.ContextRoot)
	if !ok {
		return nil, ErrNoQuorum // the configuration is ahead of the ids, for a moment
	}
	return &storeModule{id: id, cluster: cl.Name, host: mod.Host, root: mod.ContextRoot, maxValue: min(int64(s.MaxValue), fsm.MaxStoredValue), copies: s.Copies, idleTimeout: cl.Affinity.IdleTimeout}, nil
}

func moduleOf(cl *config.Cluster, p wire.ModuleParams) (*config.Module, error) {
	if p.ContextRoot == "" && p.Host == "" && len(cl.Modules) == 1 {
		return &cl.Modules[0], nil
	}
	if p.ContextRoot == "" {
		return nil, invalidRequest("query.contextRoot", "cluster %.128q has %d modules: say which one (--module of the commands)", p.Cluster, len(cl.Modules))
	}
	root := p.ContextRoot
	if len(root) > 1 {
		root = strings.TrimSuffix(root, "/")
	}
	for i := range cl.Modules {
		if m := &cl.Modules[i]; m.ContextRoot == root && strings.EqualFold(m.Host, p.Host) {
			return m, nil
		}
	}
	return nil, notFoundf("Cluster %.128q has no module %.253s%.1024s.", p.Cluster, p.Host, root)
}

// versionTag is the entity tag of a version. A version is a log index; with the line of its epoch it stands for one value in all histories that the group has had, so that a tag from before
// a restore cannot overwrite another value that came by the same index.
func (a *API) versionTag(version uint64) string {
	tag := strconv.FormatUint(version, 10)
	if g := a.opt.State.Group(); g != nil {
		if line := g.LineAt(version); line != 0 {
			tag += fmt.Sprintf("-%08x", line)
		}
	}
	return `"` + tag + `"`
}

// conditions reads If-Match and If-None-Match of a write.
func (a *API) conditions(ifMatch, ifNoneMatch string) (fsm.StoreIf, uint64, error) {
	switch {
	case ifMatch != "" && ifNoneMatch != "":
		return 0, 0, wire.NewProblem(400, wire.CodeInvalidPrecondition, "Either If-Match or If-None-Match, not both.")
	case ifNoneMatch == "*":
		return fsm.IfAbsent, 0, nil
	case ifNoneMatch != "":
		return 0, 0, wire.NewProblem(400, wire.CodeInvalidPrecondition, "A write takes If-None-Match: * (there is no value yet), and no entity tag.")
	case ifMatch == "":
		return fsm.IfAny, 0, nil
	case ifMatch == "*":
		return fsm.IfPresent, 0, nil
	}
	text, opened := strings.CutPrefix(ifMatch, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	digits, _, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !opened || !closed || err != nil || n == 0 {
		return 0, 0, wire.NewProblem(400, wire.CodeInvalidPrecondition, `If-Match must be one entity tag as this API gave it out, as in If-Match: "4711", or *.`)
	}
	if a.versionTag(n) != ifMatch {
		n = 0 // of another history: no value has it
	}
	return fsm.IfVersion, n, nil
}

// stored turns the result of a write into its problem, nil for a success.
func (a *API) stored(res fsm.Result) error {
	switch res.Code {
	case fsm.CodeOK:
		return nil
	case fsm.CodeAbsent:
		return noValue()
	case fsm.CodeConflict:
		p := wire.NewProblem(412, wire.CodePreconditionFailed, "Nothing was changed: "+res.Message+".")
		if res.Version != 0 {
			p.With("ETag", a.versionTag(res.Version))
		}
		return p
	case fsm.CodeFull:
		return wire.NewProblem(507, wire.CodeStoreFull, "Nothing was stored: "+res.Message+".")
	case fsm.CodeInvalid:
		return invalidRequest("body", "%s", res.Message)
	}
	return refused(res)
}

func noValue() *wire.Problem {
	return notFoundf("There is no value: it was removed, its time is over, or there never was one.")
}

func tooLarge(n int, most int64) *wire.Problem {
	return wire.NewProblem(413, wire.CodeValueTooLarge, fmt.Sprintf("The value has %d bytes; at most %d are kept (store.maxValue of the module). Nothing was stored.", n, most))
}
