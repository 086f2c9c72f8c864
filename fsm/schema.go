package fsm

import (
	"fmt"
	"time"
)

// The schema of the state is what a program writes into entries and snapshots, and what it makes of them. Version 1 was before quiesces, version 2 before the
// holder of the virtual addresses, version 3 before quarantines and before schemas could be raised; a program that does not name its schema is of version 1. It is raised with whatever
// the programs before would stop at or apply otherwise: a kind that they may not skip, another layout of a snapshot, a section of one that they do not know.
//
// A program knows all schemas up to its own (Schema), and a group has one in force (State.Schema): nothing is written that a later one brought. The leader raises
// it once every node knows the next one (SchemaRaise); it is never lowered. So nodes can be upgraded one by one, and back, until it is raised.

// BaseSchema is in force in a group that does not say: up to version 4 all nodes of a group had to have one schema.
const BaseSchema = 4

// maxSchema bounds a schema.
const maxSchema = 1 << 20

// SchemaFits tells whether a program can be in a group with schema inForce: it has to know that, and may be one ahead.
func SchemaFits(program, inForce int) bool { return program == inForce || program == inForce+1 }

// Raised says which schema is in force, and since when.
type Raised struct {
	Schema int `json:"schema"`
	// Since is replicated time, Index the log index of the command that raised it.
	Since time.Time `json:"since"`
	Index uint64    `json:"index"`
	// Node is the leader that proposed it; empty: the group was founded with it.
	Node string `json:"node,omitempty"`
}

// SchemaRaise puts a later schema in force: the leader's, once every node of the group knows it. One that is in force already is a success and no second event;
// an earlier one is CodeConflict. A program that does not know the schema stops at the command.
type SchemaRaise struct {
	To   int    `json:"to"`
	Node string `json:"node"`
}

func (*SchemaRaise) kind() kind { return kindSchemaRaise }

// Schema is the one in force: what is written for the group must be of it, or earlier.
func (s *State) Schema() int { return s.cur.Load().schema() }

func (r *replica) schema() int { return r.operating.Load().SchemaInForce() }

// SchemaInForce is the schema that the group has.
func (o *Operating) SchemaInForce() int {
	if o.Raised == nil {
		return BaseSchema
	}
	return o.Raised.Schema
}

// EntrySchema is the schema that a group must have for an entry that was encoded here; BaseSchema for one that every group takes.
func EntrySchema(b []byte) int {
	if len(b) < headerSize {
		return BaseSchema
	}
	return kind(b[1]).schema()
}

// newerSchema is for what a program may not go on with: the group has a schema that it does not know.
func newerSchema(reason error, schema int) error {
	return fmt.Errorf("%w: the group has schema %d of the state, this program knows %d, and a schema is never lowered: install a version with schema %d on this node again, or move its data directory away and restore a backup from before the upgrade",
		reason, schema, Schema, schema)
}

// TooEarly is the text of a refusal: a command needs a schema that the group does not have yet.
func TooEarly(need, inForce int) string {
	return fmt.Sprintf("this needs schema %d of the state, the group has schema %d: it is raised by itself once every node, also those without a vote, runs a version that knows it ('holdfast node list' shows them)", need, inForce)
}

// gated is the result of a command that is of a later schema than the one in force. Leaders refuse to propose it, so that it is here only by a fault of one.
func (r *replica) gated(index uint64, k kind) (Result, bool) {
	need, inForce := k.schema(), r.schema()
	if need <= inForce {
		return Result{}, false
	}
	return Result{Index: index, Code: CodeInvalid, Message: TooEarly(need, inForce)}, true
}

func (x *Raised) problem() string {
	var k check
	if x.Node != "" {
		k.node(x.Node)
	}
	if x.Schema <= BaseSchema || x.Schema > maxSchema {
		k.failf("schema %d is none that a group is raised to: those are from %d to %d", x.Schema, BaseSchema+1, maxSchema)
	}
	return k.message
}

func (r *replica) schemaRaise(index uint64, c *SchemaRaise) Result {
	was := r.schema()
	if c.To == was {
		return Result{}
	}
	next := &Raised{Schema: c.To, Since: millis(r.now.Load()), Index: index, Node: c.Node}
	k := check{message: next.problem()}
	if c.Node == "" {
		k.failf("the node that raises the schema is missing")
	}
	if c.To > 0 && c.To < was {
		return Result{Code: CodeConflict, Message: fmt.Sprintf("the group has schema %d: it is never lowered to %d", was, c.To)}
	}
	if res, refused := k.refused(); refused {
		return res
	}
	r.operate(index, func(o *Operating) { o.Raised = next })
	r.emit(index, Event{Kind: EventSchema, Node: c.Node, Text: fmt.Sprintf("Schema of the state raised from %d to %d: every node knows it; nodes with an older version are kept out from now on", was, c.To)})
	return Result{}
}

// appendRaised is the canonical form of the schema in force.
func appendRaised(b []byte, x *Raised) []byte {
	b = appendU32(b, uint32(x.Schema))
	b = appendTime(b, x.Since)
	b = appendU64(b, x.Index)
	return appendBytes(b, x.Node)
}

func parseRaised(b []byte) (*Raised, bool) {
	p := parser{b: b}
	x := &Raised{Schema: int(p.u32()), Since: p.time(), Index: p.u64(), Node: p.string()}
	return x, p.done() && x.problem() == ""
}

func (r *restorer) raised(b []byte) error {
	x, ok := parseRaised(b)
	if !ok || r.op.Raised != nil {
		return fmt.Errorf("impossible item")
	}
	if x.Schema > Schema {
		return newerSchema(ErrSnapshotUnknown, x.Schema)
	}
	r.op.Raised = x
	return nil
}

func (r *restorer) raisedProblem() string {
	if x := r.op.Raised; x != nil && (x.Index == 0 || x.Index > r.op.Index || !r.past(x.Since)) {
		return "schema in force"
	}
	return ""
}
