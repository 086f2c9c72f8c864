package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// The page's own parts. They are put into it: the page needs no other file and no network.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"short": record.Short, "number": record.Number,
}).Parse(pageHTML))

// Page writes the runs as one HTML page for people: what was promised, what happened when, and what each fault cost. It works without scripts; with
// them it has a pointer into the time line and buttons that copy.
func Page(w io.Writer, runs []*record.Run) error {
	p := newPage(runs)
	p.CSS, p.JS = template.CSS(pageCSS), template.JS(pageJS)
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
