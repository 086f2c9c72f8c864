package raftnode

// known is where the node looks for others: what it was told, then what has been heard on the network. What cannot be dialled is left out, for
// anybody can have said it.
func (n *Node) known() []string {
	list := append([]string(nil), n.opt.Join...)
	if n.opt.Discovered == nil {
		return list
	}
	for _, addr := range n.opt.Discovered() {
		if addr != n.addr && len(list) < maxGreeted && checkDialable("discovered address", addr) == nil {
			list = append(list, addr)
		}
	}
	return list
}
