package migrate

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// MergeOptions say how what was imported goes into what the group has.
type MergeOptions struct {
	// Replace takes out the clusters of the group that the files do not name.
	Replace bool
	// Listener tells that the address of the imported listener was asked for, so that it beats the group's.
	Listener bool
	// Last is what was imported before; then only what is different since goes into the group, and what operators have changed meanwhile stays. nil:
	// each cluster of the files takes the place of the group's of the same name.
	Last *config.Config
}

// Merge gives the configuration of the group with what was imported in it. Neither argument is changed. Sessions keep to instances by their names, so
// none moves unless its instance goes. The error is of type config.Errors.
func Merge(current, imported *config.Config, opt MergeOptions) (*config.Config, error) {
	merged := current.Clone()
	if opt.Last != nil {
		return mergeSince(merged, opt.Last, imported)
	}
	if opt.Replace {
		merged.Clusters = slices.DeleteFunc(merged.Clusters, func(c config.Cluster) bool {
			return !slices.ContainsFunc(imported.Clusters, func(i config.Cluster) bool { return i.Name == c.Name })
		})
	}
	for _, l := range imported.Listeners {
		addListener(merged, l, opt.Listener)
	}
	for _, c := range imported.Clone().Clusters {
		i := slices.IndexFunc(merged.Clusters, func(m config.Cluster) bool { return m.Name == c.Name })
		if i < 0 {
			merged.Clusters = append(merged.Clusters, c)
			continue
		}
		merged.Clusters[i] = c
	}
	return checked(merged.Canonical())
}

// addListener adds l unless the group takes traffic at its address already, or, when it was not asked for, anywhere.
func addListener(c *config.Config, l config.Listener, asked bool) {
	if !asked && len(c.Listeners) > 0 {
		return
	}
	for _, have := range c.Listeners {
		if sameAddress(have.Address, l.Address) {
			return
		}
	}
	i := slices.IndexFunc(c.Listeners, func(have config.Listener) bool { return have.Name == l.Name })
	if i < 0 {
		c.Listeners = append(c.Listeners, l)
		return
	}
	c.Listeners[i].Address = l.Address
}

func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && hostA == hostB && portA == portB
}

// mergeSince applies the difference between last and next. A cluster that the files had and have no more goes; listeners are the group's.
func mergeSince(current, last, next *config.Config) (*config.Config, error) {
	base, now, then := treeOf(last), treeOf(current), treeOf(next)
	for _, tree := range []map[string]any{base, then} {
		for _, key := range []string{"listeners", "onQuorumLoss", "holder", "proxy"} {
			tree[key] = now[key]
		}
	}
	data, err := json.Marshal(merge3(base, now, then))
	if err != nil {
		return nil, fmt.Errorf("merge configurations: %w", err)
	}
	return checked(data)
}

func checked(data []byte) (*config.Config, error) {
	c, err := config.Parse("merged configuration", data)
	if err != nil {
		return nil, err
	}
	return c, nil
}
