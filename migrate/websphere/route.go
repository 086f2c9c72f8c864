package websphere

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
)

// route makes the modules of its cluster: every URI of the one group under every host of the other.
func (in *importer) route(n *markup.Node) {
	n.Mark.Map("clusters[*].modules")
	noText(n)
	a := required(n, "ServerCluster")
	uris := in.group(n, "UriGroup", in.uris)
	hosts := in.group(n, "VirtualHostGroup", in.hosts)
	if a == nil {
		return
	}
	i := slices.IndexFunc(in.out.Clusters, func(c config.Cluster) bool { return c.Name == a.Value })
	if i < 0 {
		a.Mark.Fail("there is no ServerCluster %q", clip(a.Value))
		return
	}
	key := fmt.Sprintf("clusters[%d]", i)
	a.Mark.Map("%s.modules", key)
	c := &in.out.Clusters[i]
	names := in.hostNames(hosts)
	paths := []string{"/"} // a Route without a group takes everything
	if uris != nil {
		paths = in.paths(uris, c, key)
	}
	if c.Affinity.Type == "learn" && len(c.Affinity.Names) == 0 {
		c.Affinity.Names = []string{defaultCookie}
	}
	for _, host := range names {
		for _, path := range paths {
			id := moduleID{i, host, path}
			if in.made[id] {
				continue
			}
			in.made[id] = true
			if len(c.Modules) >= maxModules {
				n.Mark.Fail("the cluster would have more than %d modules: hosts times paths", maxModules)
				return
			}
			m := build.Module(path)
			m.Host, m.Retries = host, -1 // every other server is tried when one cannot be reached
			c.Modules = append(c.Modules, m)
		}
	}
}

// Bounds of what long groups make of each other.
const (
	maxModules = 5000 // of a cluster, and entries of a group
	maxRoutes  = 1000
	maxCookies = 16
)

// moduleID tells the modules apart.
type moduleID struct {
	cluster    int
	host, path string
}

func (in *importer) group(n *markup.Node, kind string, byName map[string]*markup.Node) *markup.Node {
	a := n.Attr(kind)
	if a == nil {
		return nil
	}
	g := byName[a.Value]
	if g == nil {
		a.Mark.Fail("there is no %s %q", kind, clip(a.Value))
		return nil
	}
	a.Mark.Map("clusters[*].modules")
	in.routed[g] = true
	if len(g.Children) > maxModules {
		a.Mark.Fail("the group has more than %d entries", maxModules)
		return nil
	}
	return g
}

// hostNames gives the hosts of a VirtualHostGroup, "" for all of them.
func (in *importer) hostNames(g *markup.Node) []string {
	if g == nil {
		return []string{""}
	}
	var names []string
	seen := map[string]bool{}
	for _, e := range g.All("VirtualHost") {
		e.Mark.Map("clusters[*].modules[*].host")
		noText(e)
		a := required(e, "Name")
		if a == nil {
			continue
		}
		host, port, err := net.SplitHostPort(a.Value)
		switch {
		case err != nil || host == "":
			a.Mark.Fail("%q is not HOST:PORT", clip(a.Value))
			continue
		case host == "*":
			host = ""
		case strings.Contains(host, "*"):
			a.Mark.Fail("a host with a wildcard in it cannot be matched; name the hosts one by one, or write *:%s for all", clip(port))
			continue
		}
		if port == "*" || port == "80" {
			a.Mark.Map("clusters[*].modules[*].host")
		} else {
			a.Mark.Approximate("clusters[*].modules[*].host", "hosts are matched without their port")
		}
		if host = strings.ToLower(host); !seen[host] {
			seen[host] = true
			names = append(names, host)
		}
	}
	if seen[""] {
		return []string{""} // all hosts: the others are among them
	}
	return names
}

// paths gives the context roots of a UriGroup, and what its URIs say about affinity to the cluster.
func (in *importer) paths(g *markup.Node, c *config.Cluster, key string) []string {
	var paths []string
	seen := map[string]bool{}
	for _, e := range g.All("Uri") {
		e.Mark.Map("%s.modules[*]", key)
		noText(e)
		in.affinity(e, c, key)
		a := required(e, "Name")
		if a == nil {
			continue
		}
		root, why, ok := build.ContextRoot(a.Value)
		switch {
		case !ok:
			a.Mark.Fail("%q is no URI pattern; write /app/*, *.jsp or /", clip(a.Value))
			continue
		case why != "":
			a.Mark.Approximate(key+".modules[*].contextRoot", "%s", why)
		default:
			a.Mark.Map("%s.modules[*].contextRoot", key)
		}
		if !seen[root] {
			seen[root] = true
			paths = append(paths, root)
		}
	}
	return paths
}

func (in *importer) affinity(e *markup.Node, c *config.Cluster, key string) {
	cookie := defaultCookie
	if a := e.Attr("AffinityCookie"); a != nil {
		cookie = a.Value
		if c.Affinity.Type == "learn" {
			a.Mark.Map("%s.affinity.names", key)
		} else {
			a.Mark.Ignore("no server of the cluster has a CloneID, so requests are not kept together")
		}
	}
	if c.Affinity.Type == "learn" && !slices.Contains(c.Affinity.Names, cookie) {
		if len(c.Affinity.Names) >= maxCookies {
			e.Mark.Fail("the cluster has more than %d session cookies", maxCookies)
			return
		}
		c.Affinity.Names = append(c.Affinity.Names, cookie)
	}
	if a := e.Attr("AffinityURLIdentifier"); a != nil {
		switch {
		case c.Affinity.Type != "learn":
			a.Mark.Ignore("no server of the cluster has a CloneID, so requests are not kept together")
		case a.Value == strings.ToLower(cookie):
			a.Mark.Map("%s.affinity.names", key)
		default:
			a.Mark.Approximate(key+".affinity.names", "the path parameter is the name of the cookie in lower case: %s", clip(strings.ToLower(cookie)))
		}
	}
}
