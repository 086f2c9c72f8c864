package lb

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// trust is how the https listeners of a cluster's instances are verified. It is immutable.
type trust struct {
	roots *x509.CertPool // nil: the system's
	name  string         // that their certificates must have; "": the host of the URL
}

// trustOf makes that of a cluster.
func (v *vault) trustOf(c *config.Cluster) *trust {
	if c.InstanceTLS == nil {
		return nil
	}
	t := &trust{name: c.InstanceTLS.ServerName}
	if len(c.InstanceTLS.Authorities) == 0 {
		return t
	}
	t.roots = x509.NewCertPool()
	for _, name := range c.InstanceTLS.Authorities {
		bundle := v.o.Certificate(name)
		if bundle == nil || !bundle.Authorities() {
			continue // nobody is verified by it; the group lets no configuration name one that is not there
		}
		for _, der := range bundle.Chain {
			if ca, err := x509.ParseCertificate(der); err == nil {
				t.roots.AddCert(ca)
			}
		}
	}
	return t
}

// trustInstances makes the trust of all clusters anew.
func (v *vault) trustInstances(c *config.Config) {
	v.trusts = make(map[string]*trust)
	for i := range c.Clusters {
		if t := v.trustOf(&c.Clusters[i]); t != nil {
			v.trusts[c.Clusters[i].Name] = t
		}
	}
}

// useTrust puts it into force for the connections that are made from now on.
func (b *Balancer) useTrust() {
	for name, c := range b.clusters {
		for _, in := range c.instances {
			for _, e := range *in.endpoints.Load() {
				e.trust.Store(b.vault.trusts[name])
			}
		}
	}
}

// clientTLS is how a connection to the listener is made.
func (e *endpoint) clientTLS(host string, protocols ...string) *tls.Config {
	c := &tls.Config{RootCAs: e.roots, ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: protocols, VerifyConnection: e.showed}
	t := e.trust.Load()
	if t == nil {
		return c
	}
	if t.roots != nil {
		c.RootCAs = t.roots
	}
	if t.name != "" {
		c.ServerName = t.name
	}
	return c
}

// certificatesOf gives the listeners of a cluster by the certificate that they present, as far as this node has seen it.
func (b *Balancer) certificatesOf(c *cluster) map[[32]byte][]string {
	all := map[[32]byte][]string{}
	for _, in := range c.instances {
		for _, e := range *in.state.endpoints.Load() {
			if c := e.shows.Load(); c != nil {
				all[c.sum] = append(all[c.sum], in.name)
			}
		}
	}
	return all
}

// compareCertificates warns when the instances of a cluster that end TLS themselves, also TLS that is passed on to them, do not present the same certificate: clients that are led to them, or a
// person who looks for the cause of an odd failure, should know. It warns again when that has changed.
func (b *Balancer) compareCertificates(state *clusterState) {
	c := b.routing.Load().clusters[state.name]
	if c == nil {
		return
	}
	var groups []string
	for sum, names := range b.certificatesOf(c) {
		slices.Sort(names)
		groups = append(groups, fmt.Sprintf("%s on %s", hex.EncodeToString(sum[:4]), strings.Join(slices.Compact(names), ", ")))
	}
	slices.Sort(groups)
	text := strings.Join(groups, "; ")
	if old := state.presents.Swap(&text); old != nil && *old == text {
		return
	}
	if len(groups) > 1 {
		b.log.Warn("instances of a cluster present different certificates", "cluster", state.name, "certificates", text)
	}
}

var (
	presentedDesc    = prometheus.NewDesc("holdfast_cluster_certificates", "How many different certificates the cluster's instances present, on https listeners and where TLS is passed on, as far as this node has seen.", []string{"cluster"}, nil)
	presentedEndDesc = prometheus.NewDesc("holdfast_instance_certificate_expiry_timestamp_seconds", "Until when the certificates are valid that the instance presents on https listeners and where TLS is passed on, the first to end, in Unix seconds, as far as this node has seen.", []string{"cluster", "instance"}, nil)
)

// collectInstances is of tlsCollector.
func (c *tlsCollector) collectInstances(ch chan<- prometheus.Metric) {
	for name, cl := range c.b.routing.Load().clusters {
		if n := len(c.b.certificatesOf(cl)); n > 0 {
			ch <- prometheus.MustNewConstMetric(presentedDesc, prometheus.GaugeValue, float64(n), name)
		}
		for _, in := range cl.instances {
			if c := in.state.shown(); c != nil {
				ch <- prometheus.MustNewConstMetric(presentedEndDesc, prometheus.GaugeValue, float64(c.Ends.Unix()), name, in.name)
			}
		}
	}
}
