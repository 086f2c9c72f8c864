// Package report tells people and programs of runs: a line for each event, a summary, JUnit XML for continuous integration, a Markdown table of what
// each fault cost, and one HTML page that needs nothing but itself. Everything is made from record.Run; whatever stands in one, names of nodes as
// well as texts of errors, is data: it is escaped in each format, and control characters do not reach a terminal.
//
// The functions are pure and may be called at once.
package report
