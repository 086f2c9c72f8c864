package lb

import (
	"flag"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// netOnly has net/http alone serve every Balancer that a rig makes.
var netOnly bool

// behindTLS has every rig's listener speak TLS, with something in front that puts the clients' connections into it: what a test sees is what a client sees who decrypts.
var behindTLS bool

// TestMain runs every test on both engines: at first with the loops in front, then on net/http alone, and then those of overTLSToo with the loops
// behind TLS. HOLDFAST_TEST_ENGINE=loop, net or tls chooses one of them, the last with -run.
func TestMain(m *testing.M) { goleak.VerifyTestMain(engines{m}) }

type engines struct{ m *testing.M }

// Run implements goleak.TestingM.
func (e engines) Run() int {
	flag.Parse()
	only := os.Getenv("HOLDFAST_TEST_ENGINE")
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		only = "loop" // a fuzz target has no engine
	}
	if only == "" || only == "loop" {
		if code := e.m.Run(); code != 0 || only == "loop" {
			return code
		}
	}
	if only == "" || only == "net" {
		netOnly = true
		if code := e.m.Run(); code != 0 || only == "net" {
			return code
		}
		netOnly = false
	}
	if run := flag.Lookup("test.run"); only == "" && run.Value.String() != "" {
		return 0 // who names tests has had them
	}
	behindTLS = true
	if only == "" {
		flag.Set("test.run", "^("+strings.Join(overTLSToo, "|")+")$")
	}
	return e.m.Run()
}
