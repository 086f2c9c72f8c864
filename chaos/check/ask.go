package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Member is one node and a client for its admin API alone.
type Member struct {
	Name   string
	Client *client.Client
}

// Nodes is a Group that is asked through the nodes' admin API. All must be members of the same group.
type Nodes []Member

// askTime bounds one question to one node.
const askTime = 2 * time.Second

// Look implements Group.
func (n Nodes) Look(ctx context.Context) []View {
	views := make([]View, len(n))
	n.each(func(i int) { views[i] = n[i].look(ctx) })
	return views
}

func (n Nodes) each(do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func (m Member) look(ctx context.Context) View {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	v := View{Node: m.Name, Pending: -1}
	status, err := m.Client.Status(ctx, client.Stale())
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.Leader, v.Quorum, v.Term, v.Applied, v.Revision = status.Leader, status.Quorum, status.Term, status.Applied, status.Revision.Number
	v.Epoch = status.Group.Epoch
	for _, node := range status.Nodes {
		if !node.Self {
			continue
		}
		v.Ready, v.Reason, v.Hash, v.HashIndex, v.Applied, v.Started = node.Ready, node.Reason, node.Hash, node.HashIndex, node.Applied, node.Started
		if q := node.Quarantine; q != nil && (q.Cause == "diverged" || q.Cause == "differs") {
			v.Wrong = fmt.Sprintf("%s at index %d", q.Cause, q.Index)
		}
		if node.VIP != nil {
			v.HasAddress, v.Holds = len(node.VIP.Addresses) > 0, node.VIP.Holds
		}
	}
	if metrics, err := m.Client.Metrics(ctx); err == nil {
		if pending, ok := sum(metrics, "holdfast_pending_assignments"); ok {
			v.Pending = int(pending)
		}
	}
	return v
}

// Tables implements Group.
func (n Nodes) Tables(ctx context.Context) (map[string]map[string]ledger.Place, error) {
	tables := make([]map[string]ledger.Place, len(n))
	errs := make([]error, len(n))
	n.each(func(i int) {
		tables[i] = map[string]ledger.Place{}
		for s, err := range n[i].Client.AllSessions(ctx, client.SessionFilter{Limit: 1000}, client.Stale()) {
			if err != nil {
				errs[i] = fmt.Errorf("table of node %s: %w", n[i].Name, err)
				return
			}
			tables[i][s.Key] = ledger.Place{Cluster: s.Cluster, Instance: s.Instance}
		}
	})
	all := map[string]map[string]ledger.Place{}
	for i, m := range n {
		all[m.Name] = tables[i]
	}
	return all, errors.Join(errs...)
}

// Revisions implements Group.
func (n Nodes) Revisions(ctx context.Context) ([]uint64, error) {
	var errs []error
	for _, m := range n {
		list, err := m.Client.History(ctx, 1000)
		if err != nil {
			errs = append(errs, fmt.Errorf("revisions of node %s: %w", m.Name, err))
			continue
		}
		var numbers []uint64
		for _, r := range list {
			numbers = append(numbers, r.Number)
		}
		return numbers, nil
	}
	return nil, errors.Join(errs...)
}

// Usage implements Group.
func (n Nodes) Usage(ctx context.Context) ([]Usage, error) {
	list := make([]Usage, len(n))
	errs := make([]error, len(n))
	n.each(func(i int) {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		metrics, err := n[i].Client.Metrics(ctx)
		if err != nil {
			errs[i] = fmt.Errorf("metrics of node %s: %w", n[i].Name, err)
			return
		}
		goroutines, first := sum(metrics, "go_goroutines")
		files, second := sum(metrics, "process_open_fds")
		started, _ := sum(metrics, "process_start_time_seconds")
		working, _ := sum(metrics, "holdfast_requests_in_flight")
		if !first || !second {
			errs[i] = fmt.Errorf("metrics of node %s: no go_goroutines or no process_open_fds", n[i].Name)
		}
		list[i] = Usage{Node: n[i].Name, Goroutines: int(goroutines), Files: int(files), InFlight: int(working), Started: started}
	})
	return list, errors.Join(errs...)
}

// sum adds the samples of one metric, of all its labels, in Prometheus' text format; false when there is none.
func sum(metrics []byte, name string) (total float64, found bool) {
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if end := strings.LastIndexByte(rest, '}'); end >= 0 {
			rest = rest[end+1:]
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			continue
		}
		total, found = total+value, true
	}
	return total, found
}
