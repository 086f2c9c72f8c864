package rivals

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	api "github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// holdfast is the leader of a group of three, which holds the address where there is one and has more to do than the others, sticky by its own cookie and the replicated table. A second module, by another host, has the same instances without sessions.
func (s *Stand) holdfast(ctx context.Context, name, binary string) (*Rival, error) {
	g, err := group.New(ctx, group.Options{Binary: binary, Dir: s.scratch(name), Set: &s.set})
	if err != nil {
		return nil, err
	}
	if err := g.Start(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, g.Tails(12))
	}
	ports, err := proc.Ports(1, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	asked, err := g.Leader(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, g.Tails(12))
	}
	if _, err := asked.Client.AddCertificate(ctx, api.NewCertificateRequest{Name: "site", CertificateRequest: api.CertificateRequest{Certificate: string(s.pair.cert), Key: string(s.pair.key)}}); err != nil {
		return nil, err
	}
	if err := g.Apply(ctx, s.configuration(g.Listener(), ports[0])); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, g.Tails(12))
	}
	if err := g.Serving(ctx); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(asked.Traffic)
	if err != nil {
		return nil, err
	}
	secure := net.JoinHostPort(host, strconv.Itoa(ports[0]))
	return (&Rival{Name: name, Addr: asked.Traffic, Secure: secure, Free: freeHost, process: asked.Process()}).finish(ctx)
}

// freeHost is the host by which requests reach the module without sessions.
const freeHost = "free.test"

func (s *Stand) configuration(listener string, secure int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q}\n  - {name: webs, address: \":%d\", protocol: https, certificates: [site]}\nclusters:\n", listener, secure)
	for _, c := range []struct{ name, affinity, module string }{
		{"sticky", "{type: insert, name: HOLDFAST}", "{contextRoot: /}"},
		{"free", "{type: none}", "{contextRoot: /, host: " + freeHost + "}"},
	} {
		fmt.Fprintf(&b, "  - name: %s\n    affinity: %s\n    health: {path: /100, interval: 1s}\n    modules:\n      - %s\n    instances:\n", c.name, c.affinity, c.module)
		for i, instance := range s.instances {
			fmt.Fprintf(&b, "      - {name: %s-i%d, listeners: [\"http://%s\"]}\n", c.name, i+1, instance)
		}
	}
	return b.String()
}
