package fsm

// secretSize is the size of Group.Secret in bytes.
const secretSize = 32

func (r *replica) groupInit(c *GroupInit) Result {
	switch {
	case r.group.Load() != nil:
		return Result{Code: CodeInvalid, Message: "the group has been founded"}
	case c.Group.ID == "":
		return Result{Code: CodeInvalid, Message: "the group has no id"}
	case len(c.Group.Secret) != secretSize:
		return Result{Code: CodeInvalid, Message: "the group's secret is not 32 bytes"}
	}
	g := c.Group
	g.Created = canonicalTime(g.Created)
	r.items.add(itemSum(itemGroup, appendGroup(nil, &g)))
	r.group.Store(&g)
	return Result{}
}

// appendGroup is the canonical form of the group.
func appendGroup(b []byte, g *Group) []byte {
	b = appendBytes(b, g.ID)
	b = appendBytes(b, g.Name)
	b = appendU32(b, g.Epoch)
	b = appendBytes(b, g.Secret)
	b = appendBytes(b, g.CACert)
	b = appendBytes(b, g.CAKey)
	return appendTime(b, g.Created)
}

func parseGroup(b []byte) (*Group, bool) {
	p := parser{b: b}
	g := &Group{ID: p.string(), Name: p.string(), Epoch: p.u32(), Secret: p.bytes(), CACert: p.bytes(), CAKey: p.bytes(),
		Created: p.time()}
	return g, p.done() && g.ID != "" && len(g.Secret) == secretSize
}
