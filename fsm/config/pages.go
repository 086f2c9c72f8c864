package config

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Bounds of error pages: they are part of every revision, and of the memory of every node.
const (
	maxPages    = 32
	maxPage     = 64 << 10 // bytes
	maxAllPages = 256 << 10
)

// Maintenance is the status of the page for modules that all of their clusters have disabled.
const Maintenance = "maintenance"

// pagePlaceholders stand for what Holdfast knows of its answer.
var pagePlaceholders = []string{"{status}", "{reason}", "{message}", "{requestId}"}

func validatePages(p *problems, at *path, list []ErrorPage) {
	if len(list) > maxPages {
		p.add(at, "remove some", "%d error pages, at most %d are taken", len(list), maxPages)
		return
	}
	total := 0
	for i := range list {
		e, at := &list[i], at.item(i)
		validatePageStatus(p, at.child("status"), e.Status)
		p.within(at.child("retryAfter"), e.RetryAfter, 0, 24*hour)
		validatePageFile(p, at, e)
		if e.HTML+e.JSON+e.Text+e.File == "" {
			p.add(at, "give it html, json, text or file", "the page has no content")
		}
		for _, form := range []struct{ key, text string }{{"html", e.HTML}, {"json", e.JSON}, {"text", e.Text}} {
			total += len(form.text)
			validatePage(p, at.child(form.key), form.text)
		}
		if e.JSON != "" && !validPageJSON(e.JSON) {
			p.add(at.child("json"), `write it as in {"error": "{message}"}: placeholders of text in quotes`, "is no JSON once its placeholders are replaced")
		}
	}
	if total > maxAllPages {
		p.add(at, "keep images and scripts elsewhere", "the pages have %d bytes, at most %d are taken", total, maxAllPages)
	}
}

func validatePageStatus(p *problems, at *path, status string) {
	const hint = `write it as in 503, "502-504" or maintenance`
	if status == Maintenance {
		return
	}
	if status == "" {
		p.add(at, hint, "is missing")
		return
	}
	set, err := ParseExpect(status)
	if err != nil {
		p.add(at, hint, "%v", err)
		return
	}
	for code := 100; code < 400; code++ {
		if set.Contains(code) {
			p.add(at, hint, "%d is no error: Holdfast's own answers have codes from 400 to 599", code)
			return
		}
	}
}

func validatePage(p *problems, at *path, text string) {
	switch {
	case len(text) > maxPage:
		p.add(at, "keep images and scripts elsewhere", "the page has %d bytes, at most %d are taken", len(text), maxPage)
	case !utf8.ValidString(text):
		p.add(at, "save it as UTF-8", "the page is not UTF-8")
	default:
		if i := strings.IndexFunc(text, isForeign); i >= 0 {
			r, _ := utf8.DecodeRuneInString(text[i:])
			p.add(at, "remove it", "the page has the character U+%04X at byte %d", r, i)
		}
	}
}

// validPageJSON reports whether the page is JSON for whatever its placeholders stand for: a number for the status, text for the others.
func validPageJSON(text string) bool {
	for _, name := range pagePlaceholders {
		value := "a b"
		if name == "{status}" {
			value = "503"
		}
		text = strings.ReplaceAll(text, name, value)
	}
	return json.Valid([]byte(text))
}
