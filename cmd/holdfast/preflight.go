package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// preflight is --preflight: strict (no value) or warn.
type preflight struct{ mode string }

func (p *preflight) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.mode, "preflight", "", "first ask each listener for every enabled module and the health check; `MODE` strict (default) refuses unless all answer below 500, warn only says so")
	cmd.Flags().Lookup("preflight").NoOptDefVal = "strict"
}

func (p *preflight) on() bool { return p.mode != "" }

func (p *preflight) check(cmd *cobra.Command) error {
	if p.mode != "" && p.mode != "strict" && p.mode != "warn" {
		return usagef(cmd, "--preflight=%s: want strict or warn", p.mode)
	}
	return nil
}

// target is an instance that is about to be enabled.
type target struct {
	name      string
	listeners []string
}

// targetsOf finds the listeners of instances of the configuration.
func targetsOf(ctx context.Context, c *client.Client, cluster string, names []string) ([]target, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	cl, err := clusterIn(s, cluster)
	if err != nil {
		return nil, err
	}
	var out []target
	for _, name := range names {
		found := false
		for _, i := range cl.Instances {
			if i.Name == name {
				out, found = append(out, target{name, i.URLs}), true
			}
		}
		if !found {
			return nil, fmt.Errorf("cluster %s has no instance %s", clean(cluster), clean(name))
		}
	}
	return out, nil
}

// probeTime is how long one answer may take.
const probeTime = 10 * time.Second

// runPreflight asks the targets for what the cluster serves, from this machine.
func (g *globals) runPreflight(ctx context.Context, c *client.Client, p *preflight, cluster string, targets []target) error {
	if !p.on() {
		return nil
	}
	_, conf, err := statusAndConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("preflight: %w", err)
	}
	var cl *config.Cluster
	for i := range conf.Clusters {
		if conf.Clusters[i].Name == cluster {
			cl = &conf.Clusters[i]
		}
	}
	if cl == nil {
		return fmt.Errorf("preflight: there is no cluster %s", clean(cluster))
	}
	transport := &http.Transport{DisableKeepAlives: true}
	prober := &http.Client{Transport: transport, Timeout: probeTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	failed := 0
	for _, t := range targets {
		for _, listener := range t.listeners {
			for _, pr := range probesOf(cl, listener) {
				text, ok := pr.run(ctx, prober)
				fmt.Fprintf(g.err, "preflight: instance %s: %s: %s\n", clean(t.name), clean(pr.url), clean(text))
				if !ok {
					failed++
				}
			}
		}
	}
	if failed > 0 && p.mode == "strict" {
		return fmt.Errorf("preflight: %s did not answer as they should; nothing was changed (--preflight=warn goes on all the same)", count(failed, "probe"))
	}
	return nil
}

// probe is one request, or a connection to a listener as in tcp://.
type probe struct{ url, host string }

// probesOf are the context roots of the enabled modules and the path of the health check, each appended to the listener's URL.
func probesOf(cl *config.Cluster, listener string) []probe {
	base := strings.TrimSuffix(listener, "/")
	var out []probe
	switch scheme, _, _ := strings.Cut(strings.ToLower(base), "://"); scheme {
	case "tcp":
		return []probe{{url: base}}
	case "udp": // there is no question that every server answers
		return nil
	}
	if cl.Health.Type == "http" {
		out = append(out, probe{url: base + cl.Health.Path})
	}
	for _, m := range cl.Modules {
		if m.Enabled {
			out = append(out, probe{url: base + m.ContextRoot, host: m.Host})
		}
	}
	return out
}

// run asks, and gives the answer in words. Below 500 is good: a login page, a redirect and a refusal all show that somebody serves the path.
func (p probe) run(ctx context.Context, c *http.Client) (text string, ok bool) {
	if scheme, at, _ := strings.Cut(p.url, "://"); strings.EqualFold(scheme, "tcp") {
		conn, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "tcp", at)
		if err != nil {
			return err.Error(), false
		}
		conn.Close()
		return "accepts connections", true
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, http.NoBody)
	if err != nil {
		return "is no URL to ask", false
	}
	req.Host = p.host
	req.Header.Set("User-Agent", "holdfast/"+version)
	resp, err := c.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return err.Error(), false
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 64<<10)
	return "status " + resp.Status, resp.StatusCode < http.StatusInternalServerError
}
