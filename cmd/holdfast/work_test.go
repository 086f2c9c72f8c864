package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// scene is a node that answers what a test says, and remembers what it was asked.
type scene struct {
	mu      sync.Mutex
	answers map[string][]string // by "METHOD path": one after the other, the last for ever; "503 BODY" has another status
	asked   []string
	bodies  []string
	url     string
}

func newScene(t *testing.T, answers map[string][]string) *scene {
	s := &scene{answers: answers}
	srv := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *scene) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.asked, s.bodies = append(s.asked, r.Method+" "+r.URL.RequestURI()), append(s.bodies, string(body))
	list := s.answers[r.Method+" "+r.URL.Path]
	if len(list) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer := list[0]
	if len(list) > 1 {
		s.answers[r.Method+" "+r.URL.Path] = list[1:]
	}
	status := http.StatusOK
	if rest, ok := strings.CutPrefix(answer, "409 "); ok {
		status, answer = http.StatusConflict, rest
	}
	if strings.HasPrefix(answer, "retry:") {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, answer)
}

// holdfast runs a command line against the scene. extra commands are put where they belong once the others have theirs.
func (s *scene) holdfast(t *testing.T, input string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	g := &globals{in: strings.NewReader(input), out: &stdout, err: &stderr, lookupEnv: func(name string) (string, bool) {
		return map[string]string{"HOLDFAST_ADMIN": s.url}[name], name == "HOLDFAST_ADMIN"
	}}
	root := newRootCommand(g)
	for _, c := range []struct {
		parent string
		cycle  func(*globals) *cobra.Command
	}{{"instance", newInstanceCycleCommand}, {"module", newModuleCycleCommand}} {
		parent, _, err := root.Find([]string{c.parent})
		if err != nil || parent == root {
			parent = g.operator(&cobra.Command{Use: c.parent, Args: cobra.ArbitraryArgs, RunE: groupOnly})
			root.AddCommand(parent)
		}
		if sub, _, _ := parent.Find([]string{"cycle"}); sub == parent {
			parent.AddCommand(c.cycle(g))
		}
	}
	usageExit(root)
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	cmd, err := root.ExecuteContextC(t.Context())
	return report(&stderr, cmd, err), stdout.String(), stderr.String()
}

func workflowJSON(state, note string) string {
	return fmt.Sprintf(`{"id":"abc1","kind":"upgrade","state":%q,"note":%q,"actor":"local","version":7,"request":{"kind":"upgrade","hooks":{}},"step":1,
		"steps":[{"id":"1.check","text":"check of cluster blue","state":"done"},{"id":"1.disable","text":"disable of cluster blue","state":"now"}]}`, state, note)
}

// TestUpgradeCommands: what is sent for each, what is printed, and the exit status. SUN-69, SUN-72
func TestUpgradeCommands(t *testing.T) {
	list := `{"workflows":[` + workflowJSON("done", "done") + `,` + strings.Replace(workflowJSON("waiting", "a person does it"), "abc1", "abc2", 1) + `]}`
	answers := func() map[string][]string {
		return map[string][]string{
			"POST /v1/workflows":             {workflowJSON("running", "begins")},
			"POST /v1/workflows/plan":        {`{"kind":"upgrade","targets":[{"cluster":"blue","disables":["b1","b2"],"sessions":17,"quiesce":"5m","unserved":["/only"]}],"steps":["check of cluster blue"],"refused":["nobody would serve /only"],"atMost":"1h5m","byHand":true,"warnings":["node n2 has no program deploy in its --hook-dir"]}`},
			"GET /v1/workflows":              {list},
			"GET /v1/workflows/abc1":         {workflowJSON("running", "disable of cluster blue"), workflowJSON("done", "done")},
			"POST /v1/workflows/abc2/resume": {workflowJSON("running", "resumed")},
			"POST /v1/workflows/abc1/pause":  {`409 {"status":409,"code":"refused","detail":"Nothing was changed: workflow abc1 has ended: done."}`},
			"POST /v1/workflows/abc1/abort":  {workflowJSON("aborting", "abort asked for")},
		}
	}
	run := []string{"upgrade", "run", "--clusters", "blue,green", "--hook", "stop=https://x.example/?a=1,2,upgrade=exec:up,start=manual", "--gate", "soak=5m", "--max-failed", "1",
		"--version", "2.1", "--quiesce-timeout", "0s", "--hook-timeout", "2m", "--min-healthy", "1", "--force", "--schema-change"}
	for name, tc := range map[string]struct {
		args   []string
		status int
		out    string
		err    string
		body   string
	}{
		"run": {run, 0, "workflow abc1 has begun; 'holdfast upgrade status abc1'", "",
			`{"kind":"upgrade","clusters":["blue","green"],"hooks":{"stop":"https://x.example/?a=1,2","upgrade":"exec:up","start":"manual"},"gate":{"type":"soak","duration":"5m","maxFailed":1},"quiesceTimeout":"0s","version":"2.1","schemaChange":true,"force":true,"minHealthy":1,"timeouts":{"hook":"2m"}}`},
		"watch":           {[]string{"upgrade", "status", "abc1", "--watch"}, 0, "state     done", "done: done", ""},
		"plan":            {[]string{"upgrade", "plan", "--clusters", "blue", "--hook", "upgrade=manual"}, 0, "It takes 1h5m at most, and as long as a person needs.", "warning: node n2 has no program deploy in its --hook-dir\n", `{"kind":"upgrade","clusters":["blue"],"hooks":{"upgrade":"manual"}}`},
		"plan refused":    {[]string{"upgrade", "plan", "--clusters", "blue"}, 0, "It would be refused: nobody would serve /only.", "", ""},
		"status":          {[]string{"upgrade", "status"}, 0, "a person does it", "", ""},
		"status of one":   {[]string{"upgrade", "status", "abc1"}, 0, "[>] disable of cluster blue", "", ""},
		"status as JSON":  {[]string{"upgrade", "status", "abc1", "-o", "json"}, 0, `"state": "running"`, "", ""},
		"the only one":    {[]string{"upgrade", "resume"}, 0, "workflow abc1 is running", "", ""},
		"pause refused":   {[]string{"upgrade", "pause", "abc1"}, 3, "", "has ended: done", ""},
		"abort":           {[]string{"upgrade", "abort", "abc1"}, 0, "is aborting", "", ""},
		"unknown":         {[]string{"upgrade", "abort", "zzz"}, 1, "", "404", ""},
		"no clusters":     {[]string{"upgrade", "run", "--hook", "stop=manual"}, 2, "", "--clusters is missing", ""},
		"hook of no name": {[]string{"upgrade", "run", "--clusters", "a", "--hook", "exec:stop"}, 2, "", "want NAME=HOOK", ""},
		"hook twice":      {[]string{"upgrade", "run", "--clusters", "a", "--hook", "stop=manual,stop=manual"}, 2, "", "stop wants one hook", ""},
		"empty hook":      {[]string{"upgrade", "run", "--clusters", "a", "--hook", "stop="}, 2, "", "stop wants one hook", ""},
		"gate":            {[]string{"upgrade", "run", "--clusters", "a", "--hook", "stop=manual", "--gate", "vote"}, 2, "", "want none, manual or soak=TIME", ""},
		"gate time":       {[]string{"upgrade", "run", "--clusters", "a", "--hook", "stop=manual", "--gate", "soak=5"}, 2, "", "want a time", ""},
		"failed alone":    {[]string{"upgrade", "run", "--clusters", "a", "--hook", "stop=manual", "--max-failed", "1"}, 2, "", "belongs to --gate soak", ""},
		"watch nothing":   {[]string{"upgrade", "status", "--watch"}, 2, "", "name the workflow", ""},
		"sub-command":     {[]string{"upgrade", "pasue"}, 2, "", "did you mean pause", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, answers())
			status, out, errOut := s.holdfast(t, "", tc.args...)
			if status != tc.status || !strings.Contains(out, tc.out) || !strings.Contains(errOut, tc.err) {
				t.Errorf("status %d, want %d\n%s\n%s\nwant %q and %q", status, tc.status, out, errOut, tc.out, tc.err)
			}
			if tc.body != "" && (len(s.bodies) == 0 || s.bodies[len(s.bodies)-1] != tc.body) {
				t.Errorf("sent %v\nwant %s", s.bodies, tc.body)
			}
			for _, line := range strings.Split(out, "\n") {
				if len([]rune(line)) > maxWidth {
					t.Errorf("a line is wider than %d: %s", maxWidth, line)
				}
			}
		})
	}
}

// TestWatchTellsTheEnd: the exit status says whether the work was done.
func TestWatchTellsTheEnd(t *testing.T) {
	s := newScene(t, map[string][]string{
		"POST /v1/workflows":     {workflowJSON("running", "begins")},
		"GET /v1/workflows/abc1": {workflowJSON("aborted", "aborted; what hooks did is not undone")},
	})
	status, out, errOut := s.holdfast(t, "", "instance", "cycle", "blue", "b1", "--hook", "stop=exec:stop,start=exec:start", "--wait")
	if status != 1 || !strings.Contains(errOut, "aborted: aborted; what hooks did") || !strings.Contains(out, "workflow abc1 is aborted") {
		t.Errorf("%d\n%s\n%s", status, out, errOut)
	}
	if want := `{"kind":"cycle","subject":{"cluster":"blue","instance":"b1"},"hooks":{"stop":"exec:stop","start":"exec:start"}}`; s.bodies[0] != want {
		t.Errorf("%s, want %s", s.bodies[0], want)
	}
}

// TestWatchingEndsBeforeTheWork: whoever watched learns whether the workflow waits for somebody, and for what.
func TestWatchingEndsBeforeTheWork(t *testing.T) {
	person := strings.Replace(workflowJSON("waiting", "stop cluster blue"), `"note"`, `"needsPerson":true,"note"`, 1)
	const choices = "'holdfast upgrade resume abc1' goes on, 'holdfast upgrade abort abc1' gives it up"
	for name, tc := range map[string]struct {
		state string
		want  []string
		not   string
	}{
		"a person":  {person, []string{"it waits for a person: " + choices, "workflow abc1 waits for a person: stop cluster blue; " + choices, "--timeout is over"}, "no answer"},
		"paused":    {workflowJSON("paused", "paused at: begins"), []string{"workflow abc1 is paused; " + choices}, "no answer"},
		"by itself": {workflowJSON("waiting", "the lock is on"), []string{"workflow abc1 goes on by itself, 'holdfast upgrade status abc1 --watch' watches it again", "--timeout is over"}, "abort"},
	} {
		s := newScene(t, map[string][]string{"POST /v1/workflows": {workflowJSON("running", "begins")}, "GET /v1/workflows/abc1": {tc.state}})
		status, out, errOut := s.holdfast(t, "", "instance", "cycle", "blue", "b1", "--hook", "stop=manual", "--wait", "--timeout", "1500ms")
		if status != 1 || !strings.Contains(out, "workflow abc1 is ") || strings.Contains(errOut, tc.not) {
			t.Errorf("%s: status %d\n%s\n%s", name, status, out, errOut)
		}
		for _, want := range tc.want {
			if !strings.Contains(errOut, want) {
				t.Errorf("%s: no %q in\n%s", name, want, errOut)
			}
		}
	}
}

// TestCycleCommands. SUN-24, SUN-74, SUN-76
func TestCycleCommands(t *testing.T) {
	for _, tc := range []struct {
		args   []string
		status int
		body   string
	}{
		{[]string{"module", "cycle", "blue", "/fortune", "--hook", "start=manual"}, 0, `{"kind":"cycle","subject":{"cluster":"blue","contextRoot":"/fortune"},"hooks":{"start":"manual"}}`},
		{[]string{"module", "cycle", "blue", "shop.example/fortune", "--hook", "stop=manual", "--quiesce-timeout", "90s"}, 0, `{"kind":"cycle","subject":{"cluster":"blue","host":"shop.example","contextRoot":"/fortune"},"hooks":{"stop":"manual"},"quiesceTimeout":"1m30s"}`},
		{[]string{"instance", "cycle", "blue", "b1"}, 2, ""},
		{[]string{"instance", "cycle", "blue"}, 2, ""},
	} {
		s := newScene(t, map[string][]string{"POST /v1/workflows": {workflowJSON("running", "begins")}})
		status, _, errOut := s.holdfast(t, "", tc.args...)
		if status != tc.status || tc.body != "" && (len(s.bodies) != 1 || s.bodies[0] != tc.body) {
			t.Errorf("%v: %d %v %s", tc.args, status, s.bodies, errOut)
		}
	}
}

const key = "3f0c1d2e4b5a69788796a5b4c3d2e1f0"

// TestSessionCommands: explain, move, drop; the id of a session is never printed.
func TestSessionCommands(t *testing.T) {
	session := `{"key":"` + key + `","cluster":"c1","instance":"i2","reason":"an operator decided","seen":"2026-01-02T03:04:05Z","expires":"2026-01-02T04:04:05Z"}`
	explanation := `{"key":"` + key + `","found":true,"session":` + session + `,"decisions":[{"index":5,"time":"2026-01-02T03:04:05Z","to":"c1/i1","reason":"chosen by the policy"},
		{"index":9,"from":"c1/i1","to":"c1/i2","reason":"an operator decided"}],"whole":false,"next":{"outcome":"fail-over","instance":"i1","why":["instance i2 is disabled and quiesced"]}}`
	file := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(file, []byte("secret-id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args   []string
		status int
		out    []string
		err    string
		asked  string
		body   string
	}{
		"explain a key": {[]string{"session", "explain", strings.ToUpper(key)}, 0, []string{"5  2026-01-02T03:04:05Z  -      c1/i1  chosen by the policy", "9  -", "Earlier decisions have been forgotten.",
			"Its next request fails over (i1):", "- instance i2 is disabled and quiesced"}, "", "POST /v1/sessions/explain", `{"key":"` + key + `"}`},
		"explain an id": {[]string{"session", "explain", "--cluster", "c1", "--context-root", "/f", "--session-file", file}, 0, []string{"key        " + key}, "", "POST /v1/sessions/explain",
			`{"cluster":"c1","contextRoot":"/f","session":"secret-id"}`},
		"explain as JSON": {[]string{"session", "explain", key, "-o", "json"}, 0, []string{`"outcome": "fail-over"`, `"index": 9`}, "", "POST /v1/sessions/explain", ""},
		"move":            {[]string{"session", "move", key, "i2"}, 0, []string{"is assigned to instance i2 of cluster c1"}, "", "POST /v1/sessions/" + key + "/move", `{"instance":"i2"}`},
		"move by force":   {[]string{"session", "move", key, "c1/i2", "--force"}, 0, nil, "", "POST /v1/sessions/" + key + "/move", `{"instance":"i2","cluster":"c1","force":true}`},
		"drop":            {[]string{"session", "drop", key}, 0, []string{"is dropped"}, "", "DELETE /v1/sessions/" + key, ""},
		"list a module":   {[]string{"session", "list", "--module", "shop.example/fortune", "-o", "json"}, 0, []string{`"reason": "an operator decided"`}, "", "GET /v1/sessions?contextRoot=%2Ffortune&host=shop.example&limit=101", ""},
		"no key":          {[]string{"session", "explain", "secret-id"}, 2, nil, "that is not a key", "", ""},
		"no key to move":  {[]string{"session", "move", "secret-id", "i2"}, 2, nil, "that is not a key", "", ""},
		"nothing":         {[]string{"session", "explain"}, 2, nil, "which session?", "", ""},
		"two modules":     {[]string{"session", "list", "--module", "/a", "--context-root", "/b"}, 2, nil, "either --module", "", ""},
		"host alone":      {[]string{"session", "list", "--host", "a"}, 2, nil, "together with --context-root", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, map[string][]string{
				"POST /v1/sessions/explain":          {explanation},
				"POST /v1/sessions/" + key + "/move": {session},
				"DELETE /v1/sessions/" + key:         {"{}"},
				"GET /v1/sessions":                   {`{"sessions":[` + session + `]}`},
			})
			status, out, errOut := s.holdfast(t, "", tc.args...)
			if status != tc.status || !strings.Contains(errOut, tc.err) {
				t.Errorf("status %d, want %d\n%s\n%s", status, tc.status, out, errOut)
			}
			for _, want := range tc.out {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if strings.Contains(out+errOut, "secret-id") {
				t.Errorf("the id is printed: %s %s", out, errOut)
			}
			if tc.asked != "" && (len(s.asked) != 1 || s.asked[0] != tc.asked) || tc.body != "" && s.bodies[0] != tc.body {
				t.Errorf("asked %v with %v", s.asked, s.bodies)
			}
		})
	}
}

// TestCookieFile: show and explain take a cookie as its value, or as NAME=VALUE.
func TestCookieFile(t *testing.T) {
	for text, want := range map[string]string{
		"AcQD-x_1\n": "AcQD-x_1", "HOLDFAST=AcQD-x_1": "AcQD-x_1", "SHOP=AcQD-x_1\r\n": "AcQD-x_1", "HOLDFAST=AcQD-x_1; Path=/; HttpOnly": "AcQD-x_1", `HOLDFAST="AcQD-x_1"`: "AcQD-x_1",
	} {
		for _, command := range []string{"show", "explain"} {
			s := newScene(t, map[string][]string{"POST /v1/sessions/explain": {`{"key":"` + key + `"}`}, "POST /v1/sessions/lookup": {`{"key":"` + key + `"}`}})
			_, _, errOut := s.holdfast(t, text, "session", command, "--cluster", "c1", "--context-root", "/f", "--cookie-file", "-")
			if body := `{"cluster":"c1","contextRoot":"/f","cookie":"` + want + `"}`; len(s.bodies) != 1 || s.bodies[0] != body {
				t.Errorf("%s of %q: sent %v, want %s\n%s", command, text, s.bodies, body, errOut)
			}
		}
	}
	s := newScene(t, nil)
	if status, _, errOut := s.holdfast(t, "HOLDFAST=\n", "session", "show", "--cluster", "c1", "--context-root", "/f", "--cookie-file", "-"); status != 1 || !strings.Contains(errOut, "the file has no cookie") || len(s.bodies) != 0 {
		t.Errorf("without a value: %d %s, sent %v", status, errOut, s.bodies)
	}
}

// TestEventsCommand: the newest, those after a seq, and a stream. SUN-88
func TestEventsCommand(t *testing.T) {
	text := "Instance: instance1 quiesced successfully over the cluster: cluster1."
	event := `{"seq":250,"index":9,"time":"2026-01-02T03:04:05Z","kind":"quiesced","text":"` + text + `"}`
	answers := map[string][]string{"GET /v1/events": {`{"events":[` + event + `],"last":250}`}}
	s := newScene(t, answers)
	status, out, errOut := s.holdfast(t, "", "events")
	if status != 0 || !strings.Contains(out, "  250  2026-01-02T03:04:05Z  quiesced          Instance: instance1 quiesced successfully over the cluster: cluster1.\n") || strings.Join(s.asked, " ") != "GET /v1/events?after=0&limit=1 GET /v1/events?after=150&limit=100" {
		t.Errorf("%d %s %s %v", status, out, errOut, s.asked)
	}
	s = newScene(t, answers)
	status, out, _ = s.holdfast(t, "", "events", "--after", "7", "--limit", "0", "-o", "json")
	if status != 0 || !json.Valid([]byte(out)) || s.asked[0] != "GET /v1/events?after=7&limit=1000" {
		t.Errorf("%d %s %v", status, out, s.asked)
	}
	// The second answer of the stream refuses, which ends the command.
	s = newScene(t, map[string][]string{"GET /v1/events": {"retry: 1000\n\nid: 250\nevent: quiesced\ndata: " + event + "\n\n", `409 {"status":409,"code":"refused","detail":"enough"}`}})
	status, out, errOut = s.holdfast(t, "", "events", "--follow", "--after", "249")
	if status != 3 || out != "250  2026-01-02T03:04:05Z  quiesced  "+text+"\n" || !strings.Contains(errOut, "enough") || s.asked[1] != "GET /v1/events?after=250" {
		t.Errorf("%d %q %s %v", status, out, errOut, s.asked)
	}
	s = newScene(t, map[string][]string{"GET /v1/events": {"retry: 1000\n\ndata: " + event + "\n\n", `409 {"status":409,"code":"refused"}`}})
	if _, out, _ = s.holdfast(t, "", "events", "-f", "--after", "1", "-o", "json"); strings.Count(out, "\n") != 1 || !json.Valid([]byte(out)) {
		t.Errorf("%q", out)
	}
	for _, args := range [][]string{{"events", "--limit", "1001"}, {"events", "--after", "-1"}, {"events", "now"}} {
		if status, _, _ := newScene(t, answers).holdfast(t, "", args...); status != 2 {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
