package lb

import (
	"encoding/json"
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// pages are the configured pages of Holdfast's own answers, in the order of the configuration.
type pages []page

type page struct {
	maintenance bool
	codes       config.StatusSet
	forms       [forms]template
	retryAfter  int    // seconds; 0: the usual
	file        string // that one of the forms is; "": none
	at          int    // in the configuration
}

// template is a page cut at its placeholders: text and placeholder in turn, beginning with text. nil: there is no page.
type template []string

var templateCuts = strings.NewReplacer("{status}", "\x00s\x00", "{reason}", "\x00r\x00", "{message}", "\x00m\x00", "{requestId}", "\x00i\x00")

func newTemplate(text string) template {
	if text == "" {
		return nil
	}
	return strings.Split(templateCuts.Replace(strings.ReplaceAll(text, "\x00", "")), "\x00")
}

// pageValues are what the placeholders stand for.
type pageValues struct {
	status             int
	message, requestID string
	reason             string
}

// render fills the placeholders in; escape makes text harmless in the page's form.
func (t template) render(v *pageValues, escape func(string) string) []byte {
	var b []byte
	for i, part := range t {
		if i%2 == 1 {
			switch part {
			case "s":
				part = strconv.Itoa(v.status)
			case "r":
				part = escape(v.reason)
			case "m":
				part = escape(v.message)
			default:
				part = escape(v.requestID)
			}
		}
		b = append(b, part...)
	}
	return b
}

func newPages(list []config.ErrorPage) pages {
	var p pages
	for i := range list {
		c := &list[i]
		next := page{maintenance: c.Status == config.Maintenance, retryAfter: int((time.Duration(c.RetryAfter) + time.Second - 1) / time.Second)}
		if !next.maintenance {
			codes, err := config.ParseExpect(c.Status)
			if err != nil {
				continue // a later version's
			}
			next.codes = codes
		}
		next.forms = [forms]template{formText: newTemplate(c.Text), formHTML: newTemplate(c.HTML), formJSON: newTemplate(c.JSON)}
		next.file, next.at = c.File, i
		p = append(p, next)
	}
	return p
}

// find gives the page of an answer, nil when none is configured. That of maintenance comes before those of status codes.
func (p pages) find(status int, maintenance bool) *page {
	for _, first := range [...]bool{true, false} {
		for i := range p {
			switch {
			case first && maintenance && p[i].maintenance, !first && !p[i].maintenance && p[i].codes.Contains(status):
				return &p[i]
			}
		}
	}
	return nil
}

var (
	escapes = [forms]func(string) string{formText: func(s string) string { return s }, formHTML: html.EscapeString, formJSON: escapeJSON}

	usualTypes = [forms]string{formText: "text/plain; charset=utf-8", formHTML: "text/html; charset=utf-8", formJSON: "application/problem+json"}
	usualPages = [forms]template{
		formText: newTemplate("{status} {reason}\n{message}\n"),
		formHTML: newTemplate("<!doctype html><title>{status} {reason}</title><h1>{status} {reason}</h1><p>{message}</p>\n"),
		formJSON: newTemplate(`{"status":{status},"title":"{reason}","detail":"{message}"}` + "\n"),
	}
)

// use finds the page of an answer, and takes over what it says about trying again.
func (p pages) use(f *failure) *page {
	own := p.find(f.status, f.maintenance)
	if own != nil && own.retryAfter > 0 {
		f.retryAfter = own.retryAfter
	}
	return own
}

// compose gives the body of an answer and its type in the form that the client prefers. own may be nil.
func (own *page) compose(accept []string, v *pageValues) (body []byte, mediaType string) {
	var has [forms]bool
	if own != nil {
		for f := range own.forms {
			has[f] = own.forms[f] != nil
		}
	}
	f := preferredForm(accept, has)
	if !has[f] {
		return usualPages[f].render(v, escapes[f]), usualTypes[f]
	}
	mediaType = usualTypes[f]
	if f == formJSON {
		mediaType = "application/json"
	}
	return own.forms[f].render(v, escapes[f]), mediaType
}

// escapeJSON gives the text as it stands between the quotes of a JSON string.
func escapeJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return "" // a string always marshals
	}
	return string(quoted[1 : len(quoted)-1])
}
