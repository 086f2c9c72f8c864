package modjk

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/migrate/report"
)

// worker is what the lines worker.NAME.… say.
type worker struct {
	name  string
	first *line // where it is first named
	own   map[string][]*line
	// all is own with what the references add; nil until resolve.
	all  map[string][]*line
	used bool
}

// file is a workers.properties that has been taken apart.
type file struct {
	lines    []*line
	list     []*line // worker.list
	workers  map[string]*worker
	vars     map[string]string
	fallback func(string) (string, bool) // the environment
}

func readWorkers(name string, data []byte, env func(string) (string, bool)) *file {
	f := &file{lines: readLines(name, data), workers: map[string]*worker{}, vars: map[string]string{}, fallback: env}
	expanded := 0
	for _, l := range f.lines {
		if l.mark.Failed() {
			continue
		}
		text, err := expand(l.value, f.variable)
		if err != nil {
			l.mark.Fail("%v", err)
			continue
		}
		if text != l.value {
			if expanded += len(text); expanded > MaxInput {
				l.mark.Fail("the file has more than %d characters once its variables are replaced", MaxInput)
				continue
			}
		}
		l.text = text
		f.sort(l)
	}
	return f
}

func (f *file) variable(name string) (string, bool) {
	if v, ok := f.vars[name]; ok {
		return v, true
	}
	if f.fallback == nil {
		return "", false
	}
	return f.fallback(name)
}

// sort puts a line where it belongs.
func (f *file) sort(l *line) {
	rest, isWorker := strings.CutPrefix(l.key, "worker.")
	switch {
	case !isWorker:
		f.vars[l.key] = l.text
		l.mark.Map("$(%s)", report.Clip(l.key))
		return
	case rest == "list":
		f.list = append(f.list, l)
		return
	case rest == "maintain":
		l.mark.Ignore("how often mod_jk tidies up; Holdfast checks by health.interval and health.retryInterval")
		return
	}
	name, directive, ok := strings.Cut(rest, ".")
	switch {
	case !ok:
		l.mark.Fail("is no directive; write worker.list or worker.NAME.DIRECTIVE")
		return
	case !validName(name):
		l.mark.Fail("%q cannot be the name of a worker; use letters, digits, - and _", report.Clip(name))
		return
	}
	if _, known := directives[directive]; !known {
		l.mark.Fail("there is no directive %q; mod_jk does not start with it", report.Clip(directive))
		return
	}
	w := f.workers[name]
	if w == nil {
		w = &worker{name: name, first: l, own: map[string][]*line{}}
		f.workers[name] = w
	}
	if old := w.own[directive]; len(old) > 0 && !repeatable[directive] {
		old[0].mark.Ignore("line %d says it again, and the last one counts", l.line)
		w.own[directive] = nil
	}
	w.own[directive] = append(w.own[directive], l)
}

func validName(name string) bool {
	return name != "" && len(name) <= 128 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// resolve gives the directives of a worker with those that it inherits.
func (f *file) resolve(w *worker) map[string][]*line {
	if w.all != nil {
		return w.all
	}
	w.all = map[string][]*line{}
	at := w
	for depth := 0; ; depth++ {
		for name, lines := range at.own {
			if _, has := w.all[name]; !has && name != "reference" {
				w.all[name] = lines
			}
		}
		refs := at.own["reference"]
		if len(refs) == 0 {
			return w.all
		}
		ref := refs[0]
		next, err := f.referenced(ref)
		switch {
		case err != nil:
			ref.mark.Fail("%v", err)
			return w.all
		case depth >= maxDepth:
			ref.mark.Fail("references are followed %d times at most; do they run in a circle?", maxDepth)
			return w.all
		}
		ref.mark.Map("the directives of worker %s", next.name)
		next.used = true
		at = next
	}
}

func (f *file) referenced(ref *line) (*worker, error) {
	name, ok := strings.CutPrefix(ref.text, "worker.")
	if !ok {
		return nil, fmt.Errorf("%q must be worker.NAME", report.Clip(ref.text))
	}
	w := f.workers[name]
	if w == nil {
		return nil, fmt.Errorf("there is no worker %q", report.Clip(name))
	}
	return w, nil
}

// one gives the line that counts, or nil.
func (f *file) one(w *worker, names ...string) *line {
	all := f.resolve(w)
	for i, name := range names {
		lines := all[name]
		if len(lines) == 0 {
			continue
		}
		for _, other := range names[i+1:] {
			for _, l := range all[other] {
				l.mark.Ignore("%s says it already", name)
			}
		}
		return lines[len(lines)-1]
	}
	return nil
}

// words gives the names in all lines of a repeatable directive, each with its line.
func words(lines []*line) (names []string, from []*line) {
	for _, l := range lines {
		for _, name := range strings.FieldsFunc(l.text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			names, from = append(names, name), append(from, l)
		}
	}
	return names, from
}

// kindOf tells what a worker is by its type.
func (f *file) kindOf(w *worker) (string, bool) {
	l := f.one(w, "type")
	if l == nil {
		return "ajp13", true
	}
	switch t := strings.ToLower(l.text); t {
	case "ajp13", "ajp14", "lb", "status":
		l.mark.Map("a worker of type %s", t)
		return t, true
	}
	l.mark.Fail("type %q is not known; write ajp13, ajp14, lb or status", report.Clip(l.text))
	return "", false
}
