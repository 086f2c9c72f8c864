package admin_test

import (
	"net/http"
	"os"
	"regexp"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestTheDocumentsCalls makes the calls of docs/OPERATING.md as they stand there, and looks at what they do.
func TestTheDocumentsCalls(t *testing.T) {
	data, err := os.ReadFile("../docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?s)\ncurl (-X [A-Z]+)?[^\n]*-H 'Content-Type: application/json'[^\n]* http://127\.0\.0\.1:7700(/v1/\S+) -d '([^']+)'`).FindAllStringSubmatch(string(data), -1)
	if len(calls) != 2 {
		t.Fatalf("%d calls with a body in the document, want 2", len(calls))
	}
	r := configured(t)
	decode[wire.ConfigResult](t, post(r.api, "POST", calls[0][2], calls[0][3]))
	rev := r.node.state.Revision()
	cl := rev.Config.Clusters[0]
	if rev.Number != 2 || rev.Message != "release 2.1" || len(cl.Instances) != 3 || cl.Instances[2].Name != "instance3" || cl.Instances[2].Weight != 2 || cl.Instances[0].Weight != 3 || cl.Modules[0].Enabled {
		t.Errorf("%+v %+v", rev, cl)
	}
	r.busy()
	if calls[1][1] != "-X PUT" {
		t.Errorf("the heartbeat is sent with %q", calls[1][1])
	}
	if w := post(r.api, http.MethodPut, calls[1][2], calls[1][3]); w.Code != http.StatusOK {
		t.Fatalf("heartbeat: %d %s", w.Code, w.Body)
	}
	if b := r.node.beats; len(b) != 1 || b[0].Name != "instance9" || b[0].Weight != 2 || len(b[0].Listeners) != 1 || b[0].Listeners[0] != "http://10.0.0.9:8080" {
		t.Errorf("%+v", b)
	}
}
