package sun

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
)

// maxRetries is the largest number of retries of the configuration; more instances than that are rare.
const maxRetries = 100

func (in *importer) module(n *markup.Node, key string) config.Module {
	n.Mark.Map("%s", key)
	noText(n)
	m := build.Module("")
	if a := required(n, "context-root"); a != nil {
		m.ContextRoot = a.Value
		a.Mark.Map("%s.contextRoot", key)
		if !strings.HasPrefix(a.Value, "/") {
			m.ContextRoot = "/" + a.Value
			a.Mark.Approximate(key+".contextRoot", "written with a / in front")
		}
	}
	m.Enabled = boolean(n.Attr("enabled"), true, key+".enabled")
	m.QuiesceTimeout = quiesce(n, key+".quiesceTimeout")
	if a := n.Attr("error-url"); a != nil {
		if a.Value == "" {
			a.Mark.Ignore("empty: the balancer's own page, as with Holdfast")
		} else {
			a.Mark.Approximate("", "a request that no instance can serve gets 503 and Holdfast's own page, not another address")
		}
	}
	for _, e := range n.All("idempotent-url-pattern") {
		m.Idempotent = append(m.Idempotent, in.pattern(e, fmt.Sprintf("%s.idempotent[%d]", key, len(m.Idempotent))))
	}
	return m
}

func (in *importer) pattern(n *markup.Node, key string) config.Pattern {
	n.Mark.Map("%s", key)
	noText(n)
	p := config.Pattern{Retries: -1}
	if a := required(n, "url-pattern"); a != nil {
		p.Pattern = a.Value
		a.Mark.Map("%s.pattern", key)
		if !strings.HasPrefix(a.Value, "/") && !strings.HasPrefix(a.Value, "*.") {
			p.Pattern = "/" + a.Value
			a.Mark.Approximate(key+".pattern", "written with a / in front")
		}
	}
	a := either(n, "no-of-retries", "num-of-retries")
	p.Retries = number(a, -1, -1, 1<<30, key+".retries")
	if p.Retries > maxRetries {
		p.Retries = -1
		a.Mark.Approximate(key+".retries", "all instances are tried, each once")
	}
	return p
}
