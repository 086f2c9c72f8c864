package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// fromThisMachine is true for a connection from a loopback address to a loopback address that no proxy has passed on: a
// reverse proxy beside the node would otherwise lend its place to anybody.
func fromThisMachine(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if _, passedOn := r.Header[h]; passedOn {
			return false
		}
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && isLoopback(local.String()) && isLoopback(r.RemoteAddr)
}

func isLoopback(addrPort string) bool {
	ap, err := netip.ParseAddrPort(addrPort)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// checkHost refuses a caller without a token that names the node by a DNS name. A page on evil.example whose name is
// pointed at 127.0.0.1 after it was loaded (DNS rebinding) is of the same origin for the browser, but it cannot change
// the Host header: that says evil.example. An IP address cannot be pointed elsewhere.
func checkHost(host string) *wire.Problem {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil || strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return nil
	}
	return wire.NewProblem(http.StatusForbidden, wire.CodeHostNotAllowed,
		"Without an access token a node answers only by IP address or as localhost: use http://127.0.0.1:7700, or send a token.")
}

// checkOrigin refuses what a browser sends on behalf of another site (CSRF). Browsers set these headers themselves;
// programs that are not browsers leave them out. See the Fetch Metadata Request Headers of the W3C.
func checkOrigin(r *http.Request) *wire.Problem {
	refused := wire.NewProblem(http.StatusForbidden, wire.CodeCrossSite, "A browser sent this request on behalf of another site.")
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return refused
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return refused
		}
	}
	return nil
}
