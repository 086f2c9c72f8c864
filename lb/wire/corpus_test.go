package wire_test

import "github.com/holdfast-lb/holdfast/internal/hostile"

// The corpus is shared with the tests of whole proxies; here are the parts that this package refuses by itself.
var (
	corpus       = hostile.Refused()
	brokenBodies = hostile.BodiesRefused()
)

const (
	host  = "Host: a.example\r\n"
	inner = hostile.Inner
)
