package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// formats of -o.
var formats = []string{"table", "json", "yaml"}

func (g *globals) checkOutput(cmd *cobra.Command) error {
	if !slices.Contains(formats, g.output) {
		return usagef(cmd, "-o %s: want one of %s", g.output, strings.Join(formats, ", "))
	}
	return nil
}

// print writes v as JSON or YAML, or calls table.
func (g *globals) print(v any, table func(w io.Writer) error) error {
	if g.output == "table" {
		return table(g.out)
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if g.output == "yaml" {
		// By way of JSON, so that both formats have the same keys.
		if data, err = yaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	} else {
		data = append(data, '\n')
	}
	_, err = g.out.Write(data)
	return err
}

// maxWidth is how wide text gets, and tables on a terminal that is not wider: they end up in tickets and mails.
const maxWidth = 100

// style is how a cell looks on a terminal (ANSI SGR parameters); empty for plain.
type style string

const (
	plainStyle style = ""
	good       style = "32"
	bad        style = "31;1"
	warning    style = "33"
	heading    style = "1"
)

type cell struct {
	text  string
	style style
}

// table is rows under a head. Columns whose title ends with ">" are set flush right.
type table struct {
	columns []string
	rows    [][]cell
	colour  bool
	first   string // title of the column that gives way before all others, "" for none
	limit   int    // how wide it gets at most; 0: as wide as it is
}

func (g *globals) table(columns ...string) *table {
	return &table{columns: columns, colour: g.colour(), limit: g.tableWidth()}
}

// tableWidth is that of the terminal, but maxWidth at least. What goes into a pipe or a file is not cut: something else reads it.
func (g *globals) tableWidth() int {
	fd, ok := g.terminal()
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil {
		return maxWidth
	}
	return max(width, maxWidth)
}

// row adds one row. A value is a cell, or anything that fmt can print.
func (t *table) row(values ...any) {
	row := make([]cell, len(values))
	for i, v := range values {
		c, ok := v.(cell)
		if !ok {
			c = cell{text: fmt.Sprint(v)}
		}
		c.text = clean(c.text)
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// write prints the table, at most limit wide: the widest columns give way first.
func (t *table) write(w io.Writer) error {
	const gap = 2
	widths := make([]int, len(t.columns))
	total := gap * (len(widths) - 1)
	for i, title := range t.columns {
		widths[i] = utf8.RuneCountInString(strings.TrimSuffix(title, ">"))
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
		total += widths[i]
	}
	first := slices.Index(t.columns, t.first)
	for ; t.limit > 0 && total > t.limit; total-- {
		widest := 0
		for i := range widths {
			if i == first && widths[i] > 1 {
				widest = i
				break
			}
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		widths[widest]--
	}
	var b strings.Builder
	head := make([]cell, len(t.columns))
	for i, title := range t.columns {
		head[i] = cell{strings.TrimSuffix(title, ">"), heading}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		var line strings.Builder
		for i, c := range row {
			if i > 0 {
				line.WriteString(strings.Repeat(" ", gap))
			}
			text := shorten(c.text, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if strings.HasSuffix(t.columns[i], ">") {
				line.WriteString(pad + paint(text, c.style, t.colour))
			} else {
				line.WriteString(paint(text, c.style, t.colour) + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shorten(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	return string(r[:max(width-1, 0)]) + "…"
}

func paint(text string, s style, colour bool) string {
	if !colour || s == plainStyle || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// colour is whether standard output is a terminal that wants colours (https://no-color.org).
func (g *globals) colour() bool {
	if g.env("NO_COLOR") != "" || g.env("TERM") == "dumb" {
		return false
	}
	_, ok := g.terminal()
	return ok
}

// isTerminal tells whether what is written to w is shown to somebody.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminal gives the file descriptor of standard output when that is a terminal.
func (g *globals) terminal() (fd int, ok bool) {
	f, ok := g.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// wrap breaks text into lines of at most maxWidth, with indented continuation.
func wrap(text, first, next string) string {
	var b strings.Builder
	line, prefix := first, next
	for i, word := range strings.Fields(clean(text)) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > maxWidth {
			b.WriteString(line + "\n")
			line = prefix + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// wrap breaks text for a terminal. A program that reads line by line, such as grep or tail, gets one line.
func (g *globals) wrap(text, first, next string) string {
	if _, ok := g.terminal(); ok {
		return wrap(text, first, next)
	}
	return first + strings.Join(strings.Fields(clean(text)), " ") + "\n"
}

// when formats a time for a table; "-" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// orDash keeps a column from being empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
