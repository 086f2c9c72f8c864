package config

import (
	"slices"
	"strings"
)

// validateBackups checks the backup clusters of all clusters: each exists, and no path leads back to where it began.
func validateBackups(p *problems, at *path, clusters []Cluster) {
	byName := make(map[string]int, len(clusters))
	names := make([]string, len(clusters))
	for i := range clusters {
		byName[clusters[i].Name], names[i] = i, clusters[i].Name
	}
	g := backupGraph{clusters: clusters, next: make([][]int, len(clusters)), state: make([]uint8, len(clusters))}
	for i := range clusters {
		at := at.item(i).child("backup")
		list := clusters[i].Backup
		if !p.fits(at, "backup clusters", len(list)) {
			continue
		}
		seen := map[string]bool{}
		for j, name := range list {
			if p.full() {
				p.more = true
				return
			}
			to, ok := byName[name]
			switch {
			case !ok:
				p.add(at.item(j), meant(name, names), "there is no cluster %q", clip(name))
				continue
			case to == i:
				p.add(at.item(j), "remove it", "cluster %q is named as its own backup", clip(name))
				continue
			case seen[name]:
				p.add(at.item(j), "remove one of them", "%q is there twice", clip(name))
				continue
			}
			seen[name] = true
			g.next[i] = append(g.next[i], to)
		}
	}
	for i := range clusters {
		if cycle := g.cycle(i); cycle != nil {
			p.add(at.item(cycle[0]).child("backup"), "take one of them out", "backup clusters lead back to where they began: %s", g.show(cycle))
			return
		}
	}
}

// backupGraph looks for cycles. It has a stack of its own: there may be hundreds of thousands of clusters.
type backupGraph struct {
	clusters []Cluster
	next     [][]int
	state    []uint8 // 0 new, 1 on the way, 2 done
}

// cycle gives the clusters of a cycle that can be reached from start, nil when there is none.
func (g *backupGraph) cycle(start int) []int {
	if g.state[start] != 0 {
		return nil
	}
	type step struct{ at, edge int }
	way := []step{{at: start}}
	g.state[start] = 1
	for len(way) > 0 {
		top := &way[len(way)-1]
		if top.edge == len(g.next[top.at]) {
			g.state[top.at] = 2
			way = way[:len(way)-1]
			continue
		}
		to := g.next[top.at][top.edge]
		top.edge++
		switch g.state[to] {
		case 0:
			g.state[to] = 1
			way = append(way, step{at: to})
		case 1:
			from := slices.IndexFunc(way, func(s step) bool { return s.at == to })
			cycle := make([]int, 0, len(way)-from)
			for _, s := range way[from:] {
				cycle = append(cycle, s.at)
			}
			return cycle
		}
	}
	return nil
}

func (g *backupGraph) show(cycle []int) string {
	const most = 8
	names := make([]string, 0, len(cycle)+1)
	for _, i := range cycle[:min(most, len(cycle))] {
		names = append(names, clip(g.clusters[i].Name))
	}
	if len(cycle) > most {
		names = append(names, "...")
	}
	return strings.Join(append(names, clip(g.clusters[cycle[0]].Name)), " -> ")
}
