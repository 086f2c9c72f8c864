//go:build !nextschema

package admin

// registerLater adds what the next schema of the state brings; see fsm/schema_next.go.
func (*API) registerLater() {}
