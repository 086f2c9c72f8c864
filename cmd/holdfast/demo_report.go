package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos"
)

// printDemoReport prints the table. The error says what was lost; nil means nothing.
func printDemoReport(out io.Writer, style demoStyle, r *chaos.Report, took time.Duration) error {
	good := func(ok bool, text string) string {
		if ok {
			return style.green(text)
		}
		return style.red(text)
	}
	hashes := "not equal"
	if r.Hash != "" {
		hashes = "equal  " + style.dim(r.Hash[:min(12, len(r.Hash))])
	}
	rows := [][2]string{
		{"gap, known sessions", fmt.Sprintf("%d ms", r.Known.Longest.Milliseconds())},
		{"gap, new sessions", fmt.Sprintf("%d ms", r.Fresh.Longest.Milliseconds())},
		{"requests sent", fmt.Sprint(r.Requests)},
		{"requests failed", good(r.Failed == 0, fmt.Sprint(r.Failed))},
		{"retried by the client", fmt.Sprint(r.Retried)},
		{"forged cookies refused", fmt.Sprintf("%d of %d", r.Forged-int64(r.Count("forged")), r.Forged)},
		{"sessions before the kill", fmt.Sprint(r.Before)},
		{"of these after it", good(r.After == r.Before, fmt.Sprint(r.After))},
		{"sessions in all", fmt.Sprint(r.Sessions)},
		{"assignments lost", good(r.Lost == 0, fmt.Sprint(r.Lost))},
		{"promises broken", good(r.Broken == 0, fmt.Sprint(r.Broken))},
		{"state hashes", good(r.Hash != "", hashes)},
	}
	line := style.dim("  " + strings.Repeat("─", 46))
	text := "\n" + line + "\n"
	for _, row := range rows {
		text += fmt.Sprintf("  %-26s%s\n", row[0], row[1])
	}
	text += line + "\n"
	for _, v := range r.Violations[:min(len(r.Violations), 5)] {
		text += "  " + style.red(v.String()) + "\n"
	}
	_, _ = io.WriteString(out, text)
	if r.Lost > 0 || r.Broken > 0 || r.Failed > 0 || r.Hash == "" {
		return fmt.Errorf("demo: %d assignments lost, %d promises broken, %d requests failed (seed %d)", r.Lost, r.Broken, r.Failed, r.Seed)
	}
	_, _ = fmt.Fprintf(out, "  %s\n", style.bold(style.green(fmt.Sprintf("nothing was lost  (%.1f s)", took.Seconds()))))
	return nil
}
