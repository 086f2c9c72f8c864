package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// presented lists what a node has seen instances present, by cluster and instance.
func presented(list []InstanceStatus) (out []wire.PresentedCertificate) {
	for i := range list {
		if c := list[i].Certificate; c != nil {
			out = append(out, wire.PresentedCertificate{Cluster: list[i].Cluster, Instance: list[i].Instance, InstanceCertificate: wire.InstanceCertificate(*c)})
		}
	}
	slices.SortFunc(out, func(a, b wire.PresentedCertificate) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}

// firstToEnd gives for each instance what it presents, as the node has seen it whose sight ends first.
func (a *API) firstToEnd(members []Member) map[fsm.InstanceRef]*wire.InstanceCertificate {
	by := map[fsm.InstanceRef]*wire.InstanceCertificate{}
	add := func(list []InstanceStatus) {
		for i := range list {
			ref := fsm.InstanceRef{Cluster: list[i].Cluster, Instance: list[i].Instance}
			if c := list[i].Certificate; c != nil && (by[ref] == nil || c.Ends.Before(by[ref].Ends)) {
				by[ref] = (*wire.InstanceCertificate)(c)
			}
		}
	}
	add(a.opt.Node.Instances())
	for i := range members {
		if !members[i].Self && members[i].Reachable {
			add(members[i].Instances)
		}
	}
	return by
}

// mostNamed is how many instances are named in one sentence.
const mostNamed = 5

// presentedProblems says which certificates of instances have expired or are about to, each once for all instances of a cluster that present it.
func presentedProblems(clusters []wire.Cluster, now time.Time) (list []string) {
	for i := range clusters {
		names := map[wire.InstanceCertificate][]string{} // without their URLs
		for _, in := range clusters[i].Instances {
			if c := in.Certificate; c != nil && c.Ends.Sub(now) < certs.Soon {
				what := wire.InstanceCertificate{Subject: c.Subject, Ends: c.Ends.UTC()}
				names[what] = append(names[what], in.Name)
			}
		}
		what := make([]wire.InstanceCertificate, 0, len(names))
		for c := range names {
			what = append(what, c)
		}
		slices.SortFunc(what, func(a, b wire.InstanceCertificate) int {
			return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.Subject, b.Subject))
		})
		for _, c := range what {
			who := names[c]
			text := fmt.Sprintf("%s of cluster %s %s a certificate (%s) that", instanceNames(who), clusters[i].Name, map[bool]string{true: "presents", false: "present"}[len(who) == 1], c.Subject)
			if now.After(c.Ends) {
				list = append(list, fmt.Sprintf("%s has expired on %s: no request reaches its listeners until there is another one", text, c.Ends.Format(time.DateOnly)))
			} else {
				list = append(list, fmt.Sprintf("%s expires on %s: no request reaches its listeners from then on", text, c.Ends.Format(time.RFC3339)))
			}
		}
	}
	return list
}

func instanceNames(names []string) string {
	switch {
	case len(names) == 1:
		return "instance " + names[0]
	case len(names) > mostNamed:
		return fmt.Sprintf("instances %s and %d more", strings.Join(names[:mostNamed], ", "), len(names)-mostNamed)
	}
	return "instances " + strings.Join(names, ", ")
}

// authorityProblems says which bundles of authorities vouch for nobody any more, or soon: all that is in them has expired or is about to. One that has another in it was renewed.
func authorityProblems(o *fsm.Operating, now time.Time) (list []string) {
	for i := range o.Certificates {
		c := &o.Certificates[i]
		use := bundleUse(o.Config, c.Name)
		if !c.Authorities() || use == "" {
			continue
		}
		var end time.Time
		for _, der := range c.Chain {
			if info, err := certs.Describe(der); err == nil && info.NotAfter.After(end) {
				end = info.NotAfter
			}
		}
		switch {
		case end.IsZero() || end.Sub(now) >= certs.Soon:
		case now.After(end):
			list = append(list, fmt.Sprintf("the authorities %s have all expired, the last on %s: %s; 'holdfast cert rotate %s --authorities FILE' brings others", c.Name, end.UTC().Format(time.DateOnly), use, c.Name))
		default:
			list = append(list, fmt.Sprintf("the last of the authorities %s expires on %s, and from then on %s; 'holdfast cert rotate %s --authorities FILE' brings others", c.Name, end.UTC().Format(time.RFC3339), use, c.Name))
		}
	}
	return list
}

// bundleUse is what does not work without a bundle of authorities, empty when nothing needs it.
func bundleUse(c *config.Config, name string) string {
	for i := range c.Clusters {
		if k := &c.Clusters[i]; k.InstanceTLS != nil && slices.Contains(k.InstanceTLS.Authorities, name) {
			return "no https listener of cluster " + k.Name + " is believed by them"
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; slices.Contains(l.ClientAuthorities(), name) {
			return "no certificate of a client of listener " + l.Name + " is believed by them"
		}
	}
	if c.ACME != nil && slices.Contains(c.ACME.Authorities, name) {
		return "the server that issues certificates is not believed by them"
	}
	return ""
}
