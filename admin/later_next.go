//go:build nextschema

package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type noteInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           struct {
		Text string `json:"text" minLength:"1" maxLength:"1024"`
	}
}

// registerLater adds the notes of schema 5 of the state: no release has them.
func (a *API) registerLater() {
	register(a, route{
		method: http.MethodPost, path: "/v1/notes", id: "add-note", role: wire.RoleOperator, permission: permit.MaintenanceWrite,
		summary: "Put a note into the group's events",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusConflict, http.StatusGatewayTimeout)
		},
	}, a.postNote)
}

func (a *API) postNote(ctx context.Context, in *noteInput) (*struct{}, error) {
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.NoteSet{RequestID: requestID(in.IdempotencyKey, []byte("note"), []byte(actor), []byte(in.Body.Text)), Actor: actor, Text: in.Body.Text})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}
