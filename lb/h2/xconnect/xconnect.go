// Package xconnect switches extended CONNECT (RFC 8441), by which WebSockets travel over HTTP/2, on in golang.org/x/net/http2.
//
// That package has it off unless GODEBUG says http2xconnect=1 when it is initialised, because handlers that know nothing of it would
// get requests which they misread. Ours knows. Packages are initialised in the order of their import paths as soon as all that they import have been
// (language specification, "Package initialization"): this one imports nothing but os, and its path comes before golang.org, so that it is always first.
// Restore puts the variable back, so that no child process inherits it.
package xconnect

import "os"

const name, wanted = "GODEBUG", "http2xconnect=1"

var before, had = os.LookupEnv(name)

func init() {
	value := wanted
	if before != "" {
		value = before + "," + wanted
	}
	os.Setenv(name, value) // fails for impossible names only
}

// Restore gives GODEBUG the value that it had when the program began.
func Restore() {
	if !had {
		os.Unsetenv(name)
		return
	}
	os.Setenv(name, before)
}
