package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// identity is who calls, and what that one may.
type identity struct {
	// actor is what the log, the events and the history of the configuration say: "local", "token ID", "user NAME (token ID)", or "oidc user NAME".
	actor string
	// user is the name without what vouches for it, token the id of the access token, issuer who vouches; each empty where there is none.
	user, token, issuer string
	groups, roles       []string
	expires             time.Time // zero: never
	can                 permit.Set
}

// known tells whether the caller is somebody.
func (who *identity) known() bool { return who.actor != "" && who.actor != nobody }

// nobody is the actor of who was let in without saying who it is.
const nobody = "-"

// withRoles is the identity with what roles allow now.
func (who identity) withRoles(roles []string, a *fsm.Access) identity {
	who.roles, who.can = roles, permit.Of(roles, a)
	return who
}

// may tells whether the caller may call a route at all: routes that a bounded permission opens look closer.
func (who *identity) may(permission string) bool {
	return permission == permit.Anyone && who.known() || who.can.HasSome(permission)
}

// requirePermission is a middleware of the framework: the operation says which permission it needs.
func (a *API) requirePermission(ctx huma.Context, next func(huma.Context)) {
	r, ok := ctx.Operation().Metadata[routeKey].(route)
	who := &callOf(ctx.Context()).who
	if !ok || r.permission != "" && !who.may(r.permission) {
		_, w := humago.Unwrap(ctx)
		writeProblem(w, who.forbidden(r.permission, ""))
		return
	}
	next(ctx)
}

// forbidden says what the caller lacks: a permission, in a cluster unless that is empty.
func (who *identity) forbidden(permission, cluster string) *wire.Problem {
	p, _ := permit.Find(permission)
	var text string
	if cluster == "" && who.user == "" && len(who.roles) == 1 && fsm.BuiltIn(who.roles[0]) {
		text = fmt.Sprintf("This needs the role %s; %s.", p.Role, who.rolesInWords())
	} else {
		if text = "This needs the permission " + permission; cluster != "" {
			text += fmt.Sprintf(" for cluster %.128s", cluster)
		}
		text += fmt.Sprintf(" (the role %s has it); %s.", p.Role, who.rolesInWords())
	}
	return wire.NewProblem(http.StatusForbidden, wire.CodeForbidden, text)
}

// rolesInWords says which roles the caller has.
func (who *identity) rolesInWords() string {
	switch {
	case len(who.roles) == 0:
		return who.actor + " has no role"
	case who.user == "" && len(who.roles) == 1:
		return "the token has the role " + who.roles[0]
	}
	return who.actor + " has the roles " + strings.Join(who.roles, ", ")
}

// checkRoute notes what a route says wrongly about who may call it.
func (a *API) checkRoute(r *route) {
	p, known := permit.Find(r.permission)
	switch {
	case r.role == "" && r.permission == "":
	case r.permission == permit.Anyone && r.role == wire.RoleViewer:
	case !known:
		a.unguarded = append(a.unguarded, fmt.Errorf("route %s: %q is no permission", r.id, r.permission))
	case p.Role != r.role:
		a.unguarded = append(a.unguarded, fmt.Errorf("route %s: the permission %s is one of the role %s, not %q", r.id, r.permission, p.Role, r.role))
	}
}

// mayInstances refuses whoever may not change the instances of a cluster.
func (a *API) mayInstances(ctx context.Context, cluster string) error {
	if who := &callOf(ctx).who; !who.can.HasIn(permit.InstancesWrite, cluster) {
		return who.forbidden(permit.InstancesWrite, cluster)
	}
	return nil
}

// mayEdit refuses edits that the caller may not make: without config:write those of instances, and the switches of modules and clusters, in clusters that are the caller's.
func (a *API) mayEdit(ctx context.Context, b *wire.Edits) error {
	who := &callOf(ctx).who
	if who.can.Has(permit.ConfigWrite) {
		return nil
	}
	for i := range b.Edits {
		cluster, ofInstances := instancesOf(&b.Edits[i])
		if !ofInstances {
			p := who.forbidden(permit.ConfigWrite, "")
			p.Errors = []wire.ProblemError{{Location: fmt.Sprintf("body.edits[%d]", i), Message: "is no change of instances"}}
			return p
		}
		if err := a.mayInstances(ctx, cluster); err != nil {
			return err
		}
	}
	for i := range b.Now {
		if err := a.mayInstances(ctx, b.Now[i].Cluster); err != nil {
			return err
		}
	}
	return nil
}

// instancesOf gives the cluster of an edit that only changes instances, or which of them and of the modules serve.
func instancesOf(e *config.Edit) (cluster string, ok bool) {
	switched := e.Op == "enable" || e.Op == "disable"
	switch e.Kind {
	case wire.KindInstance:
		return e.Cluster, true
	case wire.KindModule:
		return e.Cluster, switched
	case wire.KindCluster:
		return e.Name, switched
	}
	return "", false
}
