package workflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

const smallest = `{"clusters":["c1"],"hooks":{"upgrade":"manual"}}`

// TestDefaults: those that docs/OPERATIONS.md names.
func TestDefaults(t *testing.T) {
	s, err := Decode(KindUpgrade, []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	if s.Gate.Type != GateNone || s.Timeouts != (Timeouts{InFlight: config.Duration(5 * time.Minute), Hook: config.Duration(10 * time.Minute), Healthy: config.Duration(10 * time.Minute)}) {
		t.Errorf("%+v", s)
	}
	if MaxFailures != 5 || backoff(1) != time.Second || backoff(4) != 8*time.Second || backoff(1000) != time.Minute {
		t.Error("5 attempts, 1 s, 2 s, 4 s, … 1 min")
	}
	again, err := Decode(KindUpgrade, s.Encode())
	if err != nil || string(again.Encode()) != string(s.Encode()) {
		t.Errorf("decoding what was encoded: %v", err)
	}
}

func manyClusters(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("c", i)
	}
	b, _ := json.Marshal(names)
	return `{"clusters":` + string(b) + `,"hooks":{"stop":"manual"}}`
}

// TestHostileSpecifications: each is refused with the name of the field, and without repeating an address.
func TestHostileSpecifications(t *testing.T) {
	hook := func(h string) string {
		b, _ := json.Marshal(h)
		return `{"clusters":["c1"],"hooks":{"stop":` + string(b) + `}}`
	}
	for name, tc := range map[string]struct{ kind, spec, want string }{
		"empty":                 {KindUpgrade, ``, "cannot be read"},
		"not JSON":              {KindUpgrade, `clusters: [c1]`, "cannot be read"},
		"two values":            {KindUpgrade, smallest + smallest, "behind its end"},
		"not UTF-8":             {KindUpgrade, "{\"clusters\":[\"\xff\"]}", "not UTF-8"},
		"unknown field":         {KindUpgrade, `{"clusters":["c1"],"hook":{}}`, "unknown field"},
		"unknown kind":          {"downgrade", smallest, "kind"},
		"too large":             {KindUpgrade, `{"version":"` + strings.Repeat("v", MaxSpec) + `"}`, "larger than"},
		"10,000 clusters":       {KindUpgrade, manyClusters(5_000), "at most 100"},
		"no cluster":            {KindUpgrade, `{"hooks":{"stop":"manual"}}`, "clusters: name at least one"},
		"cluster twice":         {KindUpgrade, `{"clusters":["c1","c1"],"hooks":{"stop":"manual"}}`, "named twice"},
		"cluster without name":  {KindUpgrade, `{"clusters":[""],"hooks":{"stop":"manual"}}`, "number 1"},
		"no hook":               {KindUpgrade, `{"clusters":["c1"]}`, "hooks: there is none"},
		"unknown scheme":        {KindUpgrade, hook("ftp://deploy.example/"), "hooks.stop: want"},
		"file":                  {KindUpgrade, hook("file:///etc/passwd"), "hooks.stop: want"},
		"gopher":                {KindUpgrade, hook("gopher://127.0.0.1:6379/_x"), "hooks.stop: want"},
		"no scheme":             {KindUpgrade, hook("deploy"), "hooks.stop: want"},
		"no host":               {KindUpgrade, hook("http:///x"), "no host"},
		"opaque":                {KindUpgrade, hook("http:deploy.example"), "no host"},
		"password":              {KindUpgrade, hook("https://me:secret@deploy.example/"), "neither user"},
		"header injection":      {KindUpgrade, hook("https://deploy.example/\r\nX: 1"), "is not an address"},
		"long address":          {KindUpgrade, hook("https://deploy.example/" + strings.Repeat("x", 3000)), "longer than"},
		"path":                  {KindUpgrade, hook("exec:../../bin/sh"), "begins with"},
		"parent":                {KindUpgrade, hook("exec:.."), "begins with"},
		"absolute":              {KindUpgrade, hook("exec:bin/../sh"), "no path"},
		"absolute path":         {KindUpgrade, hook("exec:/bin/sh"), "no path"},
		"backslash":             {KindUpgrade, hook(`exec:..\sh`), "begins with"},
		"hidden":                {KindUpgrade, hook("exec:.profile"), "begins with"},
		"option":                {KindUpgrade, hook("exec:-c"), "begins with"},
		"arguments":             {KindUpgrade, hook("exec:sh -c id"), "no path"},
		"NUL":                   {KindUpgrade, hook("exec:a\x00b"), "no path"},
		"no name":               {KindUpgrade, hook("exec:"), "begins with"},
		"unknown gate":          {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"gate":{"type":"vote"}}`, "gate.type"},
		"soak for nothing":      {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"gate":{"type":"soak"}}`, "gate.duration"},
		"gate without soak":     {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"gate":{"duration":"5m"}}`, "belong to a soak"},
		"negative failures":     {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"gate":{"type":"soak","duration":"5m","maxFailed":-1}}`, "gate.maxFailed"},
		"overflow":              {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"timeouts":{"hook":"9999999999h"}}`, "duration"},
		"longest duration":      {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"timeouts":{"hook":"2562047h"}}`, "timeouts.hook"},
		"negative time":         {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"quiesceTimeout":"-1s"}`, "quiesceTimeout"},
		"number for a time":     {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"quiesceTimeout":300}`, "cannot be read"},
		"no unit":               {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"quiesceTimeout":"300"}`, "duration"},
		"control characters":    {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"version":"\u001b[2J"}`, "version"},
		"negative minimum":      {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"minHealthy":-1}`, "minHealthy"},
		"huge minimum":          {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"},"minHealthy":1e30}`, "cannot be read"},
		"cycle without subject": {KindCycle, `{"hooks":{"stop":"manual"}}`, "subject: name"},
		"cycle of a cluster":    {KindCycle, `{"subject":{"cluster":"c1"},"hooks":{"stop":"manual"}}`, "either an instance or a module"},
		"cycle of both":         {KindCycle, `{"subject":{"cluster":"c1","instance":"i","contextRoot":"/"},"hooks":{"stop":"manual"}}`, "either an instance or a module"},
		"cycle with upgrade":    {KindCycle, `{"subject":{"cluster":"c1","instance":"i"},"hooks":{"upgrade":"manual"}}`, "hooks.upgrade"},
		"cycle with gate":       {KindCycle, `{"subject":{"cluster":"c1","instance":"i"},"hooks":{"stop":"manual"},"gate":{"type":"manual"}}`, "belong to an upgrade"},
		"deep":                  {KindUpgrade, strings.Repeat("[", 60_000), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Decode(tc.kind, []byte(tc.spec))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want an error with %q (%+v)", err, tc.want, s)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats a password: %v", err)
			}
		})
	}
}

func TestStepsAreInOrder(t *testing.T) {
	s, err := Decode(KindUpgrade, []byte(`{"clusters":["c1","c2"],"hooks":{"start":"manual","stop":"manual","upgrade":"manual"},"gate":{"type":"manual"},"quiesceTimeout":"5m"}`))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, step := range Steps(KindUpgrade, s) {
		ids = append(ids, step.ID)
	}
	want := "1.check 1.disable 1.deadline 1.quiesce 1.inflight 1.stop 1.upgrade 1.start 1.healthy 1.enable 1.gate 2.check 2.disable 2.deadline 2.quiesce 2.inflight 2.stop 2.upgrade 2.start 2.healthy 2.enable"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestWhoMayAskForHooks(t *testing.T) {
	for hook, want := range map[string]bool{"manual": false, "exec:up": true, "https://x.example/": true} {
		s, err := Decode(KindCycle, []byte(`{"subject":{"cluster":"c1","contextRoot":"/a"},"hooks":{"stop":"`+hook+`"}}`))
		if err != nil || s.External() != want {
			t.Errorf("%s: %v, %v", hook, err, s)
		}
	}
}

// FuzzDecode: whatever comes, there is an error or a specification that means the same after another round.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{smallest, "", "null", "{}", "[]", `{"clusters":["c1"],"hooks":{"stop":"https://x.example/a?b"},"gate":{"type":"soak","duration":"5m"},"quiesceTimeout":"0s"}`,
		`{"subject":{"cluster":"c1","instance":"i"},"hooks":{"stop":"exec:a"}}`, `{"hooks":{"stop":"exec:../a"}}`, "\x00"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, cycle bool) {
		kind := KindUpgrade
		if cycle {
			kind = KindCycle
		}
		s, err := Decode(kind, []byte(text))
		if err != nil {
			return
		}
		again, err := Decode(kind, s.Encode())
		if err != nil || string(again.Encode()) != string(s.Encode()) {
			t.Fatalf("another round: %v", err)
		}
		for _, step := range Steps(kind, s) {
			if strings.ContainsAny(strings.TrimPrefix(step.Hook, ExecPrefix), "/\\\x00") && strings.HasPrefix(step.Hook, ExecPrefix) {
				t.Fatalf("a path: %q", step.Hook)
			}
		}
	})
}
