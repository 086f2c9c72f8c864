package fsm

// secretSize is the size of Group.Secret in bytes.
const secretSize = 32

func (r *replica) groupInit(index uint64, c *GroupInit) Result {
	switch {
	case r.group.Load() != nil:
		return Result{Code: CodeInvalid, Message: "the group has been founded"}
	case c.Group.ID == "":
		return Result{Code: CodeInvalid, Message: "the group has no id"}
	case len(c.Group.Secret) != secretSize:
		return Result{Code: CodeInvalid, Message: "the group's secret is not 32 bytes"}
	case c.Schema < 0:
		return Result{Code: CodeInvalid, Message: "the schema of the state is a number from 1 on"}
	}
	g := c.Group
	g.Epochs, g.FoundedIn = nil, 0 // it begins here
	g.Created = canonicalTime(g.Created)
	r.items.add(itemSum(itemGroup, appendGroup(nil, &g)))
	r.group.Store(&g)
	if c.Schema > BaseSchema {
		r.operate(index, func(o *Operating) { o.Raised = &Raised{Schema: c.Schema, Since: millis(r.now.Load()), Index: index} })
	}
	return Result{}
}

// appendGroup is the canonical form of the group. The epochs come last, so that a group without any has the form that it always had.
func appendGroup(b []byte, g *Group) []byte {
	b = appendBytes(b, g.ID)
	b = appendBytes(b, g.Name)
	b = appendU32(b, g.Epoch)
	b = appendBytes(b, g.Secret)
	b = appendBytes(b, g.CACert)
	b = appendBytes(b, g.CAKey)
	b = appendTime(b, g.Created)
	for _, e := range g.Epochs {
		b = appendU32(appendU32(b, e.Epoch), e.After)
		b = appendU32(appendU64(b, e.Index), e.Instances)
		if e.Line != 0 { // in the form of an epoch, and none
			b = appendU32(appendU32(b, 0), e.Line)
			b = appendU32(appendU64(b, uint64(e.Epoch)), 0)
		}
	}
	if g.FoundedIn != 0 { // in the form of an epoch, and none
		b = appendU32(appendU32(b, 0), g.FoundedIn)
		b = appendU32(appendU64(b, 0), 0)
	}
	return b
}

func parseGroup(b []byte) (*Group, bool) {
	p := parser{b: b}
	g := &Group{ID: p.string(), Name: p.string(), Epoch: p.u32(), Secret: p.bytes(), CACert: p.bytes(), CAKey: p.bytes(),
		Created: p.time()}
	for !p.bad && len(p.b) > 0 && len(g.Epochs) <= maxEpochs {
		e := EpochStart{Epoch: p.u32(), After: p.u32(), Index: p.u64(), Instances: p.u32()}
		n := len(g.Epochs)
		switch {
		case e.Epoch != 0:
			g.Epochs = append(g.Epochs, e)
		case e.After == 0 || e.Instances != 0:
			return g, false
		case e.Index == 0 && p.done():
			g.FoundedIn = e.After
		case n > 0 && e.Index == uint64(g.Epochs[n-1].Epoch) && g.Epochs[n-1].Line == 0:
			g.Epochs[n-1].Line = e.After
		default:
			return g, false
		}
	}
	return g, p.done() && g.ID != "" && len(g.Secret) == secretSize && possibleEpochs(g)
}
