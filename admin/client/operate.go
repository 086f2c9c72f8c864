package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Quiesces lists the quiesces that run, with what is left.
func (c *Client) Quiesces(ctx context.Context, opts ...ReadOption) ([]Quiesce, error) {
	l, _, err := get[wire.QuiesceList](ctx, c, "/v1/quiesces", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Quiesces, nil
}

// SetQuiesce gives a running quiesce another end.
func (c *Client) SetQuiesce(ctx context.Context, id uint64, u QuiesceUpdate) ([]Quiesce, error) {
	l, err := send[wire.QuiesceList](ctx, c, http.MethodPatch, quiescePath(id), u)
	if err != nil {
		return nil, err
	}
	return l.Quiesces, nil
}

// CancelQuiesce enables again what a quiesce has disabled: all that has this id, or subject alone. lock is the id of the maintenance lock under which
// it is done, 0 for none, owner the name under which the caller took it, empty for whom the token is for.
func (c *Client) CancelQuiesce(ctx context.Context, id uint64, subject *Subject, lock uint64, owner string) (*ConfigResult, error) {
	q := url.Values{}
	if subject != nil {
		for name, value := range map[string]string{"cluster": subject.Cluster, "instance": subject.Instance, "host": subject.Host, "contextRoot": subject.ContextRoot} {
			if value != "" {
				q.Set(name, value)
			}
		}
	}
	if lock != 0 {
		q.Set("lock", strconv.FormatUint(lock, 10))
	}
	if owner != "" {
		q.Set("owner", owner)
	}
	r, _, err := call[ConfigResult](ctx, c, request{method: http.MethodDelete, path: quiescePath(id), query: q,
		header: http.Header{"Idempotency-Key": {keyOr("")}}, repeatable: true})
	return r, err
}

func quiescePath(id uint64) string { return "/v1/quiesces/" + strconv.FormatUint(id, 10) }

// Maintenance tells whether the maintenance lock is on.
func (c *Client) Maintenance(ctx context.Context, opts ...ReadOption) (*Maintenance, error) {
	m, _, err := get[Maintenance](ctx, c, "/v1/maintenance", queryOf(opts))
	return m, err
}

// Lock turns the maintenance lock on. Somebody else's is a *Problem with locked.
func (c *Client) Lock(ctx context.Context, r MaintenanceRequest) (*Maintenance, error) {
	return send[Maintenance](ctx, c, http.MethodPut, "/v1/maintenance", r)
}

// Unlock turns it off; one that is off is a *Problem with not-found. Somebody else's needs force.
func (c *Client) Unlock(ctx context.Context, owner string, force bool) error {
	q := url.Values{}
	if owner != "" {
		q.Set("owner", owner)
	}
	if force {
		q.Set("force", "true")
	}
	return c.remove(ctx, "/v1/maintenance", q)
}

// Endpoints lists the instances that take new work; cluster empty: of all clusters.
func (c *Client) Endpoints(ctx context.Context, cluster string, opts ...ReadOption) (*Endpoints, error) {
	q := queryOf(opts)
	if cluster != "" {
		q.Set("cluster", cluster)
	}
	e, _, err := get[Endpoints](ctx, c, "/v1/endpoints", q)
	return e, err
}

// SendHeartbeat registers an instance, or says that it lives. values are its fields as in the configuration (listeners, weight, …).
func (c *Client) SendHeartbeat(ctx context.Context, cluster, instance string, values any) (*Heartbeat, error) {
	return send[Heartbeat](ctx, c, http.MethodPut, heartbeatPath(cluster, instance), values)
}

// Goodbye drops a registered instance at once.
func (c *Client) Goodbye(ctx context.Context, cluster, instance string) error {
	return c.remove(ctx, heartbeatPath(cluster, instance), nil)
}

func heartbeatPath(cluster, instance string) string {
	return "/v1/clusters/" + url.PathEscape(cluster) + "/instances/" + url.PathEscape(instance) + "/heartbeat"
}
