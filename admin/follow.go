package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// maxFollowers bounds the streams of the log of one node.
const maxFollowers = 4

// FollowFrom is what a follower has.
type FollowFrom struct {
	Group string // id; empty: any
	Epoch uint32
	Line  uint32 // that of the epoch; 0: not known
	// Index is the last log entry that it has, Term its term.
	Index, Term uint64
}

// Follow is the log behind what a follower has, about to be sent.
type Follow struct {
	// Write writes it as it is committed, until ctx ends, the node cannot go on, or a write fails. flush is called when what was written should leave.
	Write func(ctx context.Context, w io.Writer, flush func() error) error
}

type followInput struct {
	Group string `query:"group" maxLength:"300" doc:"id of the group whose log is wanted"`
	Epoch string `query:"epoch" pattern:"^[0-9]{1,10}$" required:"true" doc:"epoch of what the follower has"`
	Line  string `header:"Holdfast-Epoch-Line" pattern:"^[0-9]{1,10}$" doc:"line of that epoch, as the head of a backup has it; it tells the epoch from others of its number"` // no part of the query: earlier versions refuse what they do not know there
	From  string `query:"from" pattern:"^[0-9]{1,19}$" required:"true" doc:"index of the last log entry that the follower has"`
	Term  string `query:"term" pattern:"^[0-9]{1,19}$" required:"true" doc:"term of that entry"`
}

func (a *API) registerFollow() {
	if a.opt.Follow == nil {
		return
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/follow", id: "follow", role: wire.RoleAdmin, permission: permit.BackupsRead,
		summary: "The committed log as it grows",
		about: "Everything behind the log entry from, which the follower has from a backup of this group and epoch: entries, and marks that prove what was sent before them and up to when everything " +
			"acknowledged is in it. The stream ends when the node leaves or the follower is too slow. 410 snapshot-needed: this node's log does not go back so far, or the group is in a " +
			"later epoch; take a backup and follow from its index. 409 refused: the follower has another history than this node: an entry or an epoch that is not the group's, or entries that the group has not.",
		edit: answersBytes,
	}, a.getFollow)
}

func (a *API) getFollow(ctx context.Context, in *followInput) (*streamOutput, error) {
	from := FollowFrom{Group: in.Group}
	epoch, err := strconv.ParseUint(in.Epoch, 10, 32)
	if err != nil || epoch == 0 {
		return nil, invalidRequest("query.epoch", "is no epoch")
	}
	from.Epoch = uint32(epoch)
	if in.Line != "" {
		line, err := strconv.ParseUint(in.Line, 10, 32)
		if err != nil {
			return nil, invalidRequest("header.Holdfast-Epoch-Line", "is no line of an epoch")
		}
		from.Line = uint32(line)
	}
	if from.Index, err = strconv.ParseUint(in.From, 10, 64); err != nil || from.Index == 0 {
		return nil, invalidRequest("query.from", "is no index of a log entry")
	}
	if from.Term, err = strconv.ParseUint(in.Term, 10, 64); err != nil || from.Term == 0 {
		return nil, invalidRequest("query.term", "is no term")
	}
	select {
	case a.followers <- struct{}{}:
	default:
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node has "+strconv.Itoa(maxFollowers)+" followers already; ask another one.").With("Retry-After", "5")
	}
	f, err := a.opt.Follow(ctx, from)
	if err != nil {
		<-a.followers
		return nil, err
	}
	return &streamOutput{func(ctx huma.Context) {
		defer func() { <-a.followers }()
		r, w := humago.Unwrap(ctx)
		a.sendLog(w, r, f, from)
	}}, nil
}

// sendLog breaks the connection in the end: a log has none.
func (a *API) sendLog(w http.ResponseWriter, r *http.Request, f *Follow, from FollowFrom) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		beat := time.NewTicker(streamBeat)
		defer beat.Stop()
		defer cancel()
		for {
			select {
			case <-beat.C:
				if who, p := a.authenticate(r); p != nil || !who.may(permit.BackupsRead) {
					return // its token was revoked
				}
			case <-a.leaving:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the request is over before the stream is; a test's writer has none
	h := w.Header()
	h.Set("Content-Type", mediaBackup)
	h.Set("X-Accel-Buffering", "no")
	log := a.opt.Logger.With("actor", callOf(r.Context()).who.actor, "from", from.Index)
	log.InfoContext(r.Context(), "the log is followed") // with the name of whoever has all secrets of the group now
	// Also a node that leaves may write: what it has applied last may be nowhere else. The end of ctx has told Write to come to an end, and the shutdown of the API bounds that.
	to := &steadyWriter{w: w, control: control}
	err := f.Write(ctx, to, control.Flush)
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
		log.WarnContext(r.Context(), "the log is followed no more", "error", err, "bytes", to.n)
	} else {
		log.InfoContext(r.Context(), "the log is followed no more", "bytes", to.n)
	}
	panic(http.ErrAbortHandler)
}
