package scenario

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// text reads a text; want says what is right, if not everything is.
func (r *reader) text(to *string, want func(string) string) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		if want != nil {
			if why := want(v); why != "" {
				r.fail(n, "%s", why)
				return
			}
		}
		*to = v
	}
}

// duration reads a time between two bounds.
func (r *reader) duration(to *time.Duration, least, most time.Duration) func(ast.Node) {
	return func(n ast.Node) {
		if v, ok := r.scalar(n); ok {
			if d, ok := r.time(n, v, least, most); ok {
				*to = d
			}
		}
	}
}

func (r *reader) time(n ast.Node, text string, least, most time.Duration) (time.Duration, bool) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	switch {
	case err != nil:
		r.fail(n, "%.40q is no time: write it as 500ms, 20s or 5m", text)
		return 0, false
	case d < least || d > most:
		r.fail(n, "%v: want %v to %v", d, least, most)
		return 0, false
	}
	return d, true
}

// span reads a time, or two with " to " between them.
func (r *reader) span(to *[2]time.Duration, most time.Duration) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		first, second, two := strings.Cut(v, " to ")
		if !two {
			second = first
		}
		from, ok := r.time(n, first, 0, most)
		if !ok {
			return
		}
		until, ok := r.time(n, second, 0, most)
		if !ok {
			return
		}
		if until < from {
			r.fail(n, "%v to %v: the first is the longer one", from, until)
			return
		}
		*to = [2]time.Duration{from, until}
	}
}

func (r *reader) integer(to *int, least, most int) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		i, err := strconv.Atoi(v)
		if err != nil || i < least || i > most {
			r.fail(n, "%.40q: want a whole number from %d to %d", v, least, most)
			return
		}
		*to = i
	}
}

// seed reads what is drawn from.
func (r *reader) seed(to **uint64) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		x, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			r.fail(n, "%.40q: want a whole number from 0 to %d", v, uint64(math.MaxUint64))
			return
		}
		*to = &x
	}
}

// leastNumber of a rate is one event in a quarter of an hour, which is longer than most runs.
const leastNumber = 0.001

func (r *reader) number(to *float64, least, most float64) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(x) || x < least || x > most {
			r.fail(n, "%.40q: want a number from %g to %g", v, least, most)
			return
		}
		if x != 0 && math.Abs(x) < leastNumber { // what is due once in so long a time is due at no time that can be computed
			r.fail(n, "%.40q: want 0, or %g and more", v, leastNumber)
			return
		}
		*to = x
	}
}

func (r *reader) boolean(to *bool) func(ast.Node) {
	return func(n ast.Node) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		if v != "true" && v != "false" {
			r.fail(n, "%.40q: want true or false", v)
			return
		}
		*to = v == "true"
	}
}

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,59}$`)

func wantName(v string) string {
	if !nameRule.MatchString(v) {
		return strconv.Quote(v) + " is no name: 1 to 60 small letters, digits and dashes"
	}
	return ""
}

func oneOf(what string, legal ...string) func(string) string {
	return func(v string) string {
		for _, l := range legal {
			if v == l {
				return ""
			}
		}
		return what + " " + strconv.Quote(v) + " is none of " + strings.Join(legal, ", ")
	}
}
