package lb

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// passedPatience is how long a check waits for a handshake: one that looks at a certificate does not change the verdict, nor hold it up for longer.
const passedPatience = time.Second

// passedTLS reports whether TLS is passed on to the instances of a cluster, and gives a name that clients ask it for; "" when none is known.
func passedTLS(c *config.Config, k *config.Cluster) (serverName string, passed bool) {
	over := func(in config.Instance) bool {
		return slices.ContainsFunc(in.Listeners, func(url string) bool { return strings.HasPrefix(url, "tcp://") })
	}
	if !slices.ContainsFunc(k.Instances, over) {
		return "", false
	}
	for i := range c.Listeners {
		for _, s := range c.Listeners[i].ServerNames {
			if s.Cluster == k.Name {
				if below, ok := strings.CutPrefix(s.Name, "*."); ok {
					return "www." + below, true
				}
				return s.Name, true
			}
		}
	}
	return "", k.Affinity.Type == "sni"
}

// look makes a handshake on a connection of a check, to see which certificate the listener presents. Clients verify it, by whom they trust; here it is only
// compared with those of the other instances, and its end is watched. Whatever goes wrong says nothing about the instance's health.
func (e *endpoint) look(ctx context.Context, conn net.Conn, serverName string) {
	ctx, cancel := context.WithTimeout(ctx, passedPatience)
	defer cancel()
	c := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	c.VerifyConnection = func(s tls.ConnectionState) error { // also seen when the instance wants a certificate in return
		if len(s.PeerCertificates) > 0 {
			e.shown(s.PeerCertificates[0], s.PeerCertificates[0].NotAfter)
		}
		return nil
	}
	over := tls.Client(conn, c)
	if over.HandshakeContext(ctx) == nil {
		over.CloseWrite() // in order, so that it takes nobody for broken
	}
}
