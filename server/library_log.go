package server

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
)

// LibraryLog takes what libraries write to the standard logger, one line for each Write, and puts it into the node's log as a warning. What they quote of
// the bytes that they received is cut out, because a session id may be in it. For log.SetOutput, with log.SetFlags(0).
func (s *Server) LibraryLog() io.Writer { return libraryLog{s.log} }

type libraryLog struct{ to *slog.Logger }

// Write implements io.Writer and never fails.
func (l libraryLog) Write(p []byte) (int, error) {
	if text := cutReceived(p); text != "" {
		l.to.Warn("a library reports", "text", text)
	}
	return len(p), nil
}

var (
	// startingWith is how net/http quotes an instance's answer that nobody asked for; all after it is cut, whatever the quotes look like.
	startingWith = regexp.MustCompile(`(?s) starting with .*`)
	// quoted is what %q makes, also when its end is missing.
	quoted = regexp.MustCompile("(?s)\"(\\\\.|[^\"\\\\])*(\"|\\\\?$)|`[^`]*(`|$)")
)

// maxLibraryLine is how much of a line is kept, in bytes: a dump of something is no line.
const maxLibraryLine = 300

// cutReceived gives a line without what it quotes.
func cutReceived(line []byte) string {
	line, _, more := bytes.Cut(bytes.TrimSpace(line), []byte("\n")) // further lines are dumps and traces
	line = startingWith.ReplaceAllLiteral(line, []byte(" (cut)"))
	line = quoted.ReplaceAllLiteral(line, []byte("(cut)"))
	if more || len(line) > maxLibraryLine {
		line = append(bytes.Clone(line[:min(len(line), maxLibraryLine)]), " (cut)"...)
	}
	return string(bytes.ToValidUTF8(line, []byte("?")))
}
