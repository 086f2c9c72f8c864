package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// programsOf lists the programs that the hooks of a specification name, each once.
func programsOf(s *workflow.Spec) (list []string) {
	for _, hook := range []string{s.Hooks.Stop, s.Hooks.Upgrade, s.Hooks.Start} {
		if name, ok := strings.CutPrefix(hook, "exec:"); ok && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// missingPrograms warns of the programs that nodes do not have: whichever leads runs them. What a node does not say could not be checked.
func missingPrograms(members []Member, programs []string) []string {
	var list []string
	for _, name := range programs {
		for i := range members {
			m := &members[i]
			p := m.Programs
			unknown := fmt.Sprintf("whether node %s has program %s in its --hook-dir could not be checked: ", m.Name, name)
			switch {
			case !m.Reachable:
				list = append(list, unknown+"it does not answer")
			case p == nil:
				list = append(list, unknown+"it does not say")
			case !p.Dir:
				list = append(list, fmt.Sprintf("node %s was started without --hook-dir, so it has no program %s", m.Name, name))
			case slices.Contains(p.Names, name):
			case p.Cut:
				list = append(list, unknown+"it has too many programs to name them all")
			default:
				list = append(list, fmt.Sprintf("node %s has no program %s in its --hook-dir", m.Name, name))
			}
		}
	}
	return list
}
