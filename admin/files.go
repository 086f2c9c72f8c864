package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// mediaFile is what a file comes and goes as: what it is for browsers is said by its name.
const mediaFile = "application/octet-stream"

// The pattern of names below is the rule of config.FileName.

type filesOutput struct {
	wire.ReadHeaders
	Body wire.FileList
}

type fileInput struct {
	wire.ReadParams
	Name string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
}

type putFileInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	RawBody        []byte `contentType:"application/octet-stream"`
}

type putFileOutput struct{ Body wire.File }

type removeFileInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes or underscores, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerFiles() {
	refusals := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/files", id: "list-files", role: wire.RoleViewer, permission: permit.ConfigRead, summary: "The files of the group: error pages, and what they need",
	}, a.listFiles)
	register(a, route{
		method: http.MethodGet, path: "/v1/files/{name}", id: "get-file", role: wire.RoleViewer, permission: permit.ConfigRead, summary: "The bytes of a file",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusNotFound)
			answersBytes(op)
		},
	}, a.getFile)
	register(a, route{
		method: http.MethodPut, path: "/v1/files/{name}", id: "put-file", role: wire.RoleOperator, permission: permit.ConfigWrite, body: fsm.MaxFile, status: http.StatusOK,
		summary: "Add a file, or put another one in the place of one",
		about: fmt.Sprintf("The body is the file. It goes to all nodes in parts, and every node has it at one log entry, once all bytes are there and have the hash that they had here; a file that is there as it is costs nothing. "+
			"At most %d bytes, and %d of all files together.", fsm.MaxFile, fsm.MaxFiles),
		edit: refusals,
	}, a.putFile)
	register(a, route{
		method: http.MethodDelete, path: "/v1/files/{name}", id: "remove-file", role: wire.RoleOperator, permission: permit.ConfigWrite, summary: "Remove a file that no error page names", edit: refusals,
	}, a.removeFile)
}

func noFile(name string) *wire.Problem {
	return notFoundf("There is no file %s; 'holdfast file list' lists them.", name)
}

func describeFile(o *fsm.Operating, f *fsm.File) wire.File {
	out := wire.File{Name: f.Name, Size: f.Size, SHA256: hex.EncodeToString(f.Hash[:]), Changed: f.Changed, Actor: f.Actor, Pages: []string{}}
	for i, name := range o.Config.NamedFiles() {
		if name == f.Name {
			out.Pages = append(out.Pages, o.Config.Proxy.ErrorPages[i].Status)
		}
	}
	return out
}

func (a *API) listFiles(ctx context.Context, in *wire.ReadParams) (*filesOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	o := a.opt.State.Operating()
	out := &filesOutput{headers, wire.FileList{Files: []wire.File{}, Limit: fsm.MaxFiles}}
	for _, f := range o.Files {
		out.Body.Files = append(out.Body.Files, describeFile(o, f))
		out.Body.Size += f.Size
	}
	return out, nil
}

func (a *API) getFile(ctx context.Context, in *fileInput) (*streamOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	f := a.opt.State.Operating().File(in.Name)
	if f == nil {
		return nil, noFile(in.Name)
	}
	return &streamOutput{func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		h := w.Header()
		h.Set("Content-Type", mediaFile)
		h.Set("Content-Disposition", `attachment; filename="`+f.Name+`"`) // a name of ours: nothing to escape
		h.Set("Holdfast-Consistency", headers.Consistency)
		h.Set("ETag", `"`+hex.EncodeToString(f.Hash[:])+`"`)
		_, _ = w.Write(f.Data) // who has hung up does not read it
	}}, nil
}

// putFile proposes the file in parts. Each may be repeated, so that another leader in between costs nothing.
func (a *API) putFile(ctx context.Context, in *putFileInput) (*putFileOutput, error) {
	if len(in.RawBody) == 0 {
		return nil, invalidRequest("body", "the file is empty: an error page needs some content")
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	hash := sha256.Sum256(in.RawBody)
	part := fsm.FilePart{Name: in.Name, Hash: hash[:], Size: len(in.RawBody), Actor: callOf(ctx).who.actor}
	for part.At < part.Size {
		c := part
		c.Data = in.RawBody[part.At:min(part.At+fsm.MaxFilePart, part.Size)]
		res, err := a.propose(ctx, &c)
		switch {
		case err != nil:
			return nil, err
		case res.Code == fsm.CodeAbsent, res.Code == fsm.CodeConflict:
			return nil, refusedf("Somebody else puts file %s at the same time: look at what is there ('holdfast file list'), and put it again. (%s)", in.Name, res.Message)
		case res.Code != fsm.CodeOK:
			return nil, refused(res)
		}
		part.At += len(c.Data)
	}
	o := a.opt.State.Operating()
	is := o.File(in.Name)
	if is == nil || is.Hash != hash { // removed or replaced meanwhile
		is = &fsm.File{Name: in.Name, Hash: hash, Size: part.Size, Changed: a.opt.State.Now(), Actor: part.Actor}
	}
	return &putFileOutput{describeFile(o, is)}, nil
}

func (a *API) removeFile(ctx context.Context, in *removeFileInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.FileDrop{RequestID: requestID(in.IdempotencyKey, []byte("remove-file"), []byte(actor), []byte(in.Name)), Name: in.Name, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, noFile(in.Name)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}
