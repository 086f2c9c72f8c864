package fsm

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func (r *replica) sharesSet(index uint64, c *SharesSet) Result {
	var k check
	k.list("shares", len(c.Shares))
	for i := range c.Shares {
		k.id("the node of a share", c.Shares[i].Node)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	next := slices.Clone(c.Shares)
	slices.SortFunc(next, compareShares)
	o := r.operating.Load()
	if problem := sharesProblem(next, r.names.Load(), o.Config); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	if len(next) == 0 {
		next = nil
	}
	if !slices.Equal(next, o.Shares) {
		r.operate(index, func(o *Operating) { o.Shares = next })
	}
	return Result{}
}

func compareShares(a, b Share) int {
	return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Node, b.Node))
}

// sharesProblem says what is wrong with a sorted list, in words, or nothing. That no instance's shares add up to more than its bound is what makes
// the bound hold over all nodes.
func sharesProblem(list []Share, n *names, c *config.Config) string {
	if len(list) == 0 {
		return ""
	}
	known := configuredInstances(n, c)
	left := 0
	for i := range list {
		s := &list[i]
		in := known[s.Instance]
		switch {
		case in == nil:
			return fmt.Sprintf("a share of instance %d, which is not configured", s.Instance)
		case in.MaxConnections <= 0:
			return fmt.Sprintf("a share of instance %s, which has no maxConnections", in.Name)
		case i > 0 && compareShares(list[i-1], *s) == 0:
			return fmt.Sprintf("two shares of instance %s for node %s", in.Name, s.Node)
		}
		if i == 0 || list[i-1].Instance != s.Instance {
			left = in.MaxConnections
		}
		if s.Limit < 0 || s.Limit > left || s.Limit > math.MaxInt32 {
			return fmt.Sprintf("the shares of instance %s add up to more than its maxConnections, which is %d", in.Name, in.MaxConnections)
		}
		left -= s.Limit
	}
	return ""
}

// sharesFor is what is left of list under a new configuration: shares of an instance whose bound has become smaller shrink with it.
func sharesFor(list []Share, n *names, c *config.Config) []Share {
	if len(list) == 0 || sharesProblem(list, n, c) == "" {
		return list
	}
	known := configuredInstances(n, c)
	var out []Share
	for from := 0; from < len(list); {
		to, sum := from, int64(0)
		for ; to < len(list) && list[to].Instance == list[from].Instance; to++ {
			sum += int64(list[to].Limit)
		}
		if in := known[list[from].Instance]; in != nil && in.MaxConnections > 0 {
			for _, s := range list[from:to] {
				if bound := int64(in.MaxConnections); bound < sum {
					s.Limit = int(int64(s.Limit) * bound / sum)
				}
				out = append(out, s)
			}
		}
		from = to
	}
	return out
}

// appendShare is the canonical form of a share.
func appendShare(b []byte, s *Share) []byte {
	b = appendU32(b, uint32(s.Instance))
	b = appendBytes(b, s.Node)
	return appendU32(b, uint32(s.Limit))
}

func parseShare(b []byte) (Share, bool) {
	p := parser{b: b}
	s := Share{Instance: InstanceID(p.u32()), Node: p.string()}
	limit := p.u32()
	s.Limit = int(limit & math.MaxInt32)
	return s, p.done() && limit <= math.MaxInt32
}
