//go:build !nextschema

package fsm

// Schema is the latest schema of the state that this program knows; see schema.go.
const Schema = 4

// lastKind is the last kind of command that a program may not skip.
const lastKind = kindSchemaRaise

// What the next schema brings is in schema_next.go, and no part of this program.

func (kind) laterSchema() int { return Schema + 1 }

func newLaterCommand(kind) Command { return nil }

func identifyLater(Command, func() RequestID) Command { return nil }

func (*replica) executeLater(uint64, Command) (Result, bool) { return Result{}, false }
