package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const beatPath = "/v1/clusters/w/instances/self/heartbeat"

func registering(t *testing.T) *rig {
	t.Helper()
	r := configured(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", weighted+"  - {name: closed}\n"))
	return r
}

// TestHeartbeat: the answer says how often, the instance has the defaults of its cluster.
func TestHeartbeat(t *testing.T) {
	r := registering(t)
	h := decode[wire.Heartbeat](t, post(r.api, "PUT", beatPath, `{"listeners":["http://10.0.0.9:8080"],"weight":3,"zone":"z1","failoverTo":"i1"}`))
	if h.Heartbeat != config.Duration(250*time.Millisecond) || h.DropAfter != config.Duration(time.Second) {
		t.Errorf("%+v", h)
	}
	in := r.node.beats[0]
	if in.Name != "self" || in.Weight != 3 || in.Zone != "z1" || !in.Enabled || in.QuiesceTimeout != config.Duration(31*time.Minute) || in.Route != "self" || in.FailoverTo != "i1" || in.Listeners[0] != "http://10.0.0.9:8080" {
		t.Errorf("%+v", in)
	}
	decode[wire.Heartbeat](t, post(r.api, "PUT", beatPath, `{"listeners":["http://10.0.0.9:8080"],"weight":4}`))
	decode[wire.Heartbeat](t, post(r.api, "PUT", beatPath, `{"listeners":["http://10.0.0.9:8080"],"weight":4}`))
	if len(r.node.beats) != 3 || r.node.beats[1].Weight != 4 || r.node.beats[2].Weight != 4 || r.node.beats[1].FailoverTo != "" {
		t.Errorf("%+v", r.node.beats)
	}
	if w := post(r.api, "DELETE", beatPath, ""); w.Code != 204 || r.node.gone[0] != (fsm.InstanceRef{Cluster: "w", Instance: "self"}) {
		t.Errorf("goodbye: %d %v", w.Code, r.node.gone)
	}
	wantProblem(t, post(r.api, "DELETE", strings.Replace(beatPath, "self", "absent", 1), ""), 404, wire.CodeNotFound)
	// Two a second of each instance are no news; a refusal is said once until it is another one.
	nowhere := func() {
		wantProblem(t, post(r.api, "PUT", strings.Replace(beatPath, "/w/", "/nope/", 1), `{"listeners":["http://10.0.0.9:8080"]}`), 404, wire.CodeNotFound)
	}
	nowhere()
	nowhere()
	log := r.log.String()
	if strings.Contains(log, `level=INFO msg="admin call" method=PUT route=/v1/clusters`) || strings.Count(log, `level=WARN msg="heartbeat refused" cluster=nope instance=self code=not-found`) != 1 {
		t.Errorf("heartbeats in the log:\n%s", log)
	}
}

// TestHeartbeatsThatAreRefused: with a reason, and nothing reaches the group.
func TestHeartbeatsThatAreRefused(t *testing.T) {
	r := registering(t)
	good := `"listeners":["http://10.0.0.9:8080"]`
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
		want   string
	}{
		"empty":            {"", 400, wire.CodeBadRequest, ""},
		"null":             {"null", 422, wire.CodeInvalidRequest, ""},
		"array":            {"[]", 400, wire.CodeMalformedBody, ""},
		"cut":              {`{` + good, 400, wire.CodeMalformedBody, ""},
		"duplicate":        {`{` + good + `,"weight":1,"weight":2}`, 400, wire.CodeMalformedBody, "twice"},
		"deep":             {`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, 400, wire.CodeMalformedBody, ""},
		"no listener":      {`{}`, 422, wire.CodeConfigInvalid, "body"},
		"bad listener":     {`{"listeners":["ftp://x"]}`, 422, wire.CodeConfigInvalid, "body.listeners"},
		"weight":           {`{` + good + `,"weight":5000}`, 422, wire.CodeConfigInvalid, "body.weight"},
		"wrong type":       {`{` + good + `,"weight":"many"}`, 422, wire.CodeConfigInvalid, "body.weight"},
		"unknown key":      {`{` + good + `,"wieght":1}`, 422, wire.CodeConfigInvalid, "wieght"},
		"another name":     {`{` + good + `,"name":"other"}`, 422, wire.CodeInvalidRequest, "body.name"},
		"no such fallback": {`{` + good + `,"failoverTo":"nobody"}`, 422, wire.CodeInvalidRequest, "nobody"},
		"itself":           {`{` + good + `,"failoverTo":"self"}`, 422, wire.CodeInvalidRequest, "self"},
		"NUL":              {"{\"listeners\":[\"http://a\\u0000b\"]}", 422, wire.CodeConfigInvalid, ""},
		"over 64 KiB":      {`{"zone":"` + strings.Repeat("z", 70<<10) + `"}`, 413, wire.CodeBodyTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(r.api, "PUT", beatPath, tc.body)
			wantProblem(t, w, tc.status, tc.code)
			if !strings.Contains(w.Body.String(), tc.want) {
				t.Errorf("the problem does not say %q: %s", tc.want, w.Body)
			}
		})
	}
	body := "{" + good + "}"
	wantProblem(t, post(r.api, "PUT", "/v1/clusters/closed/instances/self/heartbeat", body), 409, wire.CodeRefused)
	wantProblem(t, post(r.api, "PUT", "/v1/clusters/w/instances/..%2Fself/heartbeat", body), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "PUT", "/v1/clusters/w/instances/-bad-/heartbeat", body), 422, wire.CodeConfigInvalid)
	wantProblem(t, post(r.api, "PUT", "/v1/clusters/w/instances/"+strings.Repeat("x", 200)+"/heartbeat", body), 422, wire.CodeInvalidRequest)
	if len(r.node.beats) != 0 {
		t.Errorf("the group heard of %+v", r.node.beats)
	}
	r.node.answer = func(fsm.Command) (fsm.Result, bool) {
		return fsm.Result{Code: fsm.CodeInvalid, Message: "the configuration has an instance of that name"}, true
	}
	wantProblem(t, post(r.api, "PUT", beatPath, body), 409, wire.CodeRefused)
}

// TestRegisteredInstancesAreNotEdited: whoever tries hears how it is done.
func TestRegisteredInstancesAreNotEdited(t *testing.T) {
	r := registering(t)
	r.node.view.operating(func(o *fsm.Operating) {
		o.Registered = []fsm.Registration{{Cluster: "w", Instance: config.Instance{Name: "self"}}}
	})
	w := post(r.api, "POST", "/v1/config/edits", `{"edits":[{"op":"disable","kind":"instance","cluster":"w","name":"self"}]}`)
	if p := wantProblem(t, w, 422, wire.CodeConfigInvalid); !strings.Contains(p.Errors[0].Hint, "registered itself") {
		t.Errorf("%+v", p)
	}
}
