package wire

// ReadParams are the parameters of every read.
type ReadParams struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" doc:"stale: answer at once from this node's own state, also without a quorum"`
}

// ReadHeaders are the header fields of the answer to every read.
type ReadHeaders struct {
	Consistency string `header:"Holdfast-Consistency" doc:"linearizable or stale"`
	Index       uint64 `header:"Holdfast-Index" doc:"log index up to which the answer holds"`
}
