package sun

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// DefaultCluster is the cluster of an instance list, which names none.
const DefaultCluster = "cluster1"

// maxLines bounds an instance list.
const maxLines = 100_000

// isInstanceList tells clinstance.conf, the list that cladmin reads, from XML.
func isInstanceList(data []byte) bool {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	return len(text) > 0 && text[0] != '<' && len(data) <= markup.MaxInput && bytes.Contains(data, []byte("instancename"))
}

// entry is one line of an instance list: a word and its value.
type entry struct {
	line, column int
	word, value  string
	mark         report.Mark
}

// importInstances reads an instance list (SUN-34): each instance begins with its instancename.
func importInstances(data []byte, opt Options) *build.Result {
	res := &build.Result{Report: &report.Report{Format: "sun"}}
	if opt.Cluster == "" {
		opt.Cluster = DefaultCluster
	}
	c := build.Cluster(opt.Cluster)
	c.Affinity.Names = []string{"JSESSIONID"}
	c.Health.Expect = defaultHealthyStatus
	c.Modules = append(c.Modules, build.Module("/"))
	entries := instanceLines(data)
	var hosts, ports []*entry
	for _, e := range entries {
		if e.mark.Failed() {
			continue
		}
		key := fmt.Sprintf("clusters[0].instances[%d]", len(c.Instances)-1)
		if e.word != "instancename" && len(c.Instances) == 0 {
			e.mark.Fail("%s stands before the first instancename", e.word)
			continue
		}
		switch e.word {
		case "instancename":
			c.Instances = append(c.Instances, build.Instance(e.value))
			hosts, ports = append(hosts, nil), append(ports, nil)
			e.mark.Map("clusters[0].instances[%d].name", len(c.Instances)-1)
		case "host":
			once(e, &hosts[len(hosts)-1], key+".listeners")
		case "instanceport":
			once(e, &ports[len(ports)-1], key+".listeners")
			build.Int(e.value, &e.mark, 1, 65535)
		case "user", "port", "domain", "master":
			e.mark.Ignore("for cladmin only: Holdfast administers no application servers")
		default:
			e.mark.Fail("%q is unknown; an instance has instancename, user, host, port, domain, instanceport and master", report.Clip(e.word))
		}
	}
	listen(&c, entries, hosts, ports)
	out := build.Empty(opt.Listener)
	out.Clusters = append(out.Clusters, c)
	marks := make([]*report.Mark, len(entries))
	for i, e := range entries {
		marks[i] = &e.mark
	}
	done := build.Finish(out, marks, &entries[0].mark)
	for _, e := range entries {
		res.Report.Entries = append(res.Report.Entries, e.mark.Entry(opt.File, e.line, e.column, report.Clip(e.word), e.value))
	}
	res.Report.Note("the file names no cluster and no module: the instances are those of cluster %q, which gets everything (context root /)", clip(opt.Cluster))
	if !res.Report.Failed() {
		res.Config = done
	}
	return res
}

// once keeps e as the value of its kind, unless the instance has one.
func once(e *entry, slot **entry, key string) {
	e.mark.Map("%s", key)
	if *slot != nil {
		e.mark.Fail("%s is there twice for one instance, first in line %d", e.word, (*slot).line)
		return
	}
	*slot = e
}

// listen makes the listener URLs; what is missing is the fault of the instancename.
func listen(c *config.Cluster, entries []*entry, hosts, ports []*entry) {
	i := -1
	for _, e := range entries {
		if e.word != "instancename" || e.mark.Failed() {
			continue
		}
		if i++; hosts[i] == nil || ports[i] == nil {
			e.mark.Fail("the instance needs host and instanceport")
			continue
		}
		c.Instances[i].Listeners = []string{"http://" + net.JoinHostPort(strings.Trim(hosts[i].value, "[]"), ports[i].value)}
	}
}

// instanceLines takes a list apart; there is at least one line, since isInstanceList found a word.
func instanceLines(data []byte) []*entry {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var out []*entry
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		text := strings.ToValidUTF8(string(raw), "?")
		trimmed := strings.TrimLeft(text, " \t")
		e := &entry{line: number, column: utf8.RuneCountInString(text[:len(text)-len(trimmed)]) + 1}
		if trimmed = strings.TrimSpace(trimmed); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		e.word, e.value = trimmed, ""
		if i := strings.IndexAny(trimmed, " \t="); i >= 0 {
			e.word, e.value = trimmed[:i], strings.Trim(trimmed[i:], " \t=")
		}
		e.word = strings.ToLower(e.word)
		if strings.ContainsFunc(trimmed, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			e.word, e.value = "line", ""
			e.mark.Fail("there are control characters in it")
		}
		if out = append(out, e); len(out) > maxLines {
			e.mark.Fail("the file has more than %d lines", maxLines)
			return out
		}
	}
	if len(out) == 0 { // the word stood in a comment
		e := &entry{line: 1, column: 1, word: "file"}
		e.mark.Fail("there is no instance in it")
		out = append(out, e)
	}
	return out
}
