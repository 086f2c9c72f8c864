package config

import (
	"strings"
	"testing"
)

// TestInstancesOfOneHostHaveOneAgent, and that is warned of, once for each of them.
func TestInstancesOfOneHostHaveOneAgent(t *testing.T) {
	const text = `
listeners: [{name: web, address: ":80"}]
clusters:
  - name: c
    health: {agentPort: 9707}
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["http://10.0.0.1:9001", "http://10.0.0.1:9002"]}
      - {name: i2, listeners: ["http://10.0.0.2:9001"]}
      - {name: i3, listeners: ["http://10.0.0.1:9003", "http://10.0.0.1:9004"]}
`
	want := `instances "i1" and "i3" of cluster "c" are on the host 10.0.0.1, and so have one agent (agentPort 9707): what it says of one it says of both`
	if w := mustParse(t, text).Warnings(); len(w) != 1 || w[0] != want {
		t.Errorf("%q", w)
	}
	if w := mustParse(t, strings.Replace(text, "agentPort: 9707", "agentPort: 0", 1)).Warnings(); len(w) != 0 {
		t.Errorf("without an agent: %q", w)
	}
}
