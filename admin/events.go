package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	mediaEvents = "text/event-stream"
	// maxStreams bounds the streams of events of one node.
	maxStreams = 64
	// streamPoll is how often a stream looks for news: one atomic load.
	streamPoll = 100 * time.Millisecond
	// streamBeat is how often a quiet stream shows that it lives, and its caller's token is looked at again.
	streamBeat = 15 * time.Second
	// streamWrite is how long a reader may take to make room for what it is sent.
	streamWrite = 10 * time.Second
	// streamBatch bounds what is written at once.
	streamBatch = 100
)

var reflectEvents = reflect.TypeFor[wire.EventList]()

type eventsInput struct {
	wire.ReadParams
	After       string `query:"after" pattern:"^[0-9]{1,19}$" doc:"only events with a greater seq"`
	Limit       int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"streams: the seq of the last event that was seen; beats after"`
}

func (a *API) registerEvents() {
	register(a, route{
		method: http.MethodGet, path: "/v1/events", id: "list-events", role: wire.RoleViewer, permission: permit.AuditRead,
		summary: "What happened to the group",
		about: "The last 1000 events are kept; the group has them all in one order, whichever node is asked. With Accept: text/event-stream they come as " +
			"server-sent events as they happen, with their seq as id, until the node leaves.",
		edit: func(op *huma.Operation) {
			schema := a.huma.OpenAPI().Components.Schemas.Schema(reflectEvents, true, "EventList")
			op.Responses = okResponse(map[string]*huma.MediaType{
				mediaJSON: {Schema: schema}, mediaEvents: {Schema: &huma.Schema{Type: huma.TypeString}}})
		},
	}, a.getEvents)
}

func (a *API) getEvents(ctx context.Context, in *eventsInput) (*streamOutput, error) {
	var after uint64
	if in.After != "" {
		n, err := strconv.ParseUint(in.After, 10, 64)
		if err != nil {
			return nil, invalidRequest("query.after", "is no seq of an event")
		}
		after = n
	}
	if callOf(ctx).stream {
		if in.LastEventID != "" {
			n, err := strconv.ParseUint(in.LastEventID, 10, 64)
			if err != nil {
				return nil, invalidRequest("header.Last-Event-ID", "is no seq of an event")
			}
			after = n
		}
		return a.streamEvents(after)
	}
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	list := wire.EventList{Events: []wire.Event{}, Last: a.opt.State.LastEvent()}
	for _, e := range a.opt.State.Events(after, in.Limit) {
		list.Events = append(list.Events, describeEvent(e))
	}
	return &streamOutput{func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", mediaJSON)
		ctx.SetHeader("Holdfast-Consistency", headers.Consistency)
		ctx.SetHeader("Holdfast-Index", strconv.FormatUint(headers.Index, 10))
		if err := marshal(ctx.BodyWriter(), list); err != nil {
			a.opt.Logger.ErrorContext(ctx.Context(), "admin call failed", "err", err)
		}
	}}, nil
}

func describeEvent(e fsm.Event) wire.Event {
	return wire.Event{Seq: e.Seq, Index: e.Index, Time: e.Time, Kind: e.Kind, Cluster: e.Cluster, Instance: e.Instance, Host: e.Host, ContextRoot: e.ContextRoot,
		Text: e.Text, Actor: e.Actor, Node: e.Node}
}

// streamEvents takes one of the places for streams.
func (a *API) streamEvents(after uint64) (*streamOutput, error) {
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady,
			fmt.Sprintf("This node has %d streams of events already; ask another node.", maxStreams)).With("Retry-After", "5")
	}
	return &streamOutput{func(ctx huma.Context) {
		defer func() { <-a.streams }()
		r, w := humago.Unwrap(ctx)
		a.stream(w, r, after)
	}}, nil
}

// stream writes events until the reader goes, is too slow, or loses its right to read them, or the node leaves.
func (a *API) stream(w http.ResponseWriter, r *http.Request, after uint64) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the request is over before the stream is; a test's writer has none
	h := w.Header()
	h.Set("Content-Type", mediaEvents)
	h.Set("X-Accel-Buffering", "no")
	poll, beat := time.NewTicker(streamPoll), time.NewTicker(streamBeat)
	defer poll.Stop()
	defer beat.Stop()
	send := func(text []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(streamWrite))
		if _, err := w.Write(text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !send([]byte("retry: 1000\n\n")) {
		return
	}
	for {
		for a.opt.State.LastEvent() > after {
			list := a.opt.State.Events(after, streamBatch)
			if len(list) == 0 || !send(sse(list)) {
				return
			}
			after = list[len(list)-1].Seq
		}
		select {
		case <-poll.C:
		case <-beat.C:
			if !a.mayRead(r) || !send([]byte(": heartbeat\n\n")) {
				return
			}
		case <-r.Context().Done():
			return
		case <-a.leaving:
			return
		}
	}
}

// mayRead looks again whether the caller may read: its token may have been revoked, or have expired.
func (a *API) mayRead(r *http.Request) bool {
	who, p := a.authenticate(r)
	return p == nil && who.may(permit.AuditRead)
}

// sse writes events in the format of the WHATWG HTML standard, section 9.2. JSON has no line ends of its own.
func sse(list []fsm.Event) []byte {
	var b bytes.Buffer
	for _, e := range list {
		data, err := json.Marshal(describeEvent(e))
		if err != nil {
			panic("BUG: an event cannot be encoded: " + err.Error())
		}
		fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, data)
	}
	return b.Bytes()
}

// endStreams ends all streams, for good.
func (a *API) endStreams() { a.leave.Do(func() { close(a.leaving) }) }
