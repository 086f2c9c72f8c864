// Package measure says what an outage is, and how long two nodes had one address. It is pure: lists of what was seen in, durations out.
package measure
