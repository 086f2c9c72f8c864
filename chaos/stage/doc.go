// Package stage sets everything up that a scenario needs: a group of nodes, sample instances behind it, the configuration, a
// place for logs. All of it is real processes of one program; Close ends them and removes the files.
//
// A Stage may be used by one scenario at a time.
package stage
