package lb

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb/hello"
)

// sniAffinity takes the server name that a TLS client asks for as the session's id: all who ask for one server are on one instance. TLS is not ended. A stream without a name is
// unassigned and leaves no record.
type sniAffinity struct{}

func (sniAffinity) find(q *inquiry, m *module) bool         { return q.findKeyed(m, q.server) }
func (sniAffinity) guess(*inquiry, *module) bool            { return false }
func (sniAffinity) open(x *exchange) error                  { return x.openKeyed(x.server) }
func (sniAffinity) settle(x *exchange, _ http.Header) error { return x.settleKeyed() }

// serversOf are the clusters of a listener by server name; nil without one.
func serversOf(l *config.Listener) map[string]string {
	if len(l.ServerNames) == 0 {
		return nil
	}
	all := make(map[string]string, len(l.ServerNames))
	for _, s := range l.ServerNames {
		all[s.Name] = s.Cluster
	}
	return all
}

// clusterOf is where streams for a server go, which may have no name.
func (e *edge) clusterOf(server string) string {
	if to, ok := e.servers[server]; ok && server != "" {
		return to
	}
	for rest := server; rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		if to, ok := e.servers["*."+rest]; ok && rest != "" {
			return to
		}
	}
	return e.streams
}

// wantsServer reports whether anything depends on the name of the server.
func (x *exchange) wantsServer() bool {
	if x.edge.servers != nil {
		return true
	}
	s := x.b.routing.Load().streams[x.edge.streams]
	return s != nil && slices.ContainsFunc(s.modules, func(m *module) bool { _, sni := m.affinity.(sniAffinity); return sni })
}

// askServer finds out which server the client asks for, where that matters, and so where the stream leads. The client has as long as for the head of a request. One that does not begin
// with TLS, or is silent, has asked for none; one whose TLS is broken is refused.
func (x *exchange) askServer(s *streamSocket) error {
	if !x.wantsServer() {
		return nil
	}
	stop := context.AfterFunc(x.r.Context(), func() { s.SetReadDeadline(longAgo) })
	defer stop()
	s.SetReadDeadline(time.Now().Add(x.edge.guard.First))
	name, all, err := hello.Read(s.TCPConn, s.before)
	s.SetReadDeadline(time.Time{})
	if x.r.Context().Err() != nil {
		return errClosed
	}
	s.before = all
	silent := len(all) == 0 && (errors.Is(err, os.ErrDeadlineExceeded) || err == io.EOF)
	if err != nil && err != hello.ErrNone && !silent {
		return err
	}
	x.server = name
	x.streamsTo = x.edge.clusterOf(name)
	return nil
}
