package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/server"
)

// settled runs settle on a node's flags.
func settled(t *testing.T, args []string, env map[string]string, file string) (server.Config, error) {
	t.Helper()
	config, path := server.Defaults(), ""
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	nodeFlags(flags, &config, &path)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if file != "" {
		path = filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := settle(flags, path, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	return config, err
}

func TestFlagBeatsVariableBeatsFile(t *testing.T) {
	file := "name: from-file\nzone: from-file\ndata-dir: /from/file\nbootstrap-expect: 3\njoin: [a:1, b:2]\n"
	env := map[string]string{"HOLDFAST_NAME": "from-env", "HOLDFAST_ZONE": "from-env", "HOLDFAST_JOIN_TOKEN": "secret"}
	got, err := settled(t, []string{"--name", "from-flag"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "from-flag" || got.Zone != "from-env" || got.DataDir != "/from/file" || got.BootstrapExpect != 3 ||
		strings.Join(got.Join, " ") != "a:1 b:2" || got.JoinToken != "secret" {
		t.Errorf("settled as %+v", got)
	}
}

func TestSettingsOfOperatingComeFromFileAndVariables(t *testing.T) {
	got, err := settled(t, nil, map[string]string{"HOLDFAST_DISCOVER": "multicast@lo"}, "hook-dir: /etc/holdfast/hooks\ndiscover: multicast\nmax-join-skew: 5s\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.HookDir != "/etc/holdfast/hooks" || got.Discover != "multicast@lo" || got.MaxJoinSkew != 5*time.Second {
		t.Errorf("settled as %+v", got)
	}
}

func TestNodeFileFaults(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown key":        {"nam: n1\n", `unknown key "nam"`},
		"group key":          {"clusters: []\n", "a setting of the group"},
		"two faults at once": {"nam: n1\nlisteners: []\n", `unknown key "nam"`},
		"wrong type":         {"bootstrap-expect: many\n", "bootstrap-expect"},
		"mapping":            {"name: {a: b}\n", "not a plain value"},
		"no value":           {"name:\n", "has no value"},
		"not a mapping":      {"- a\n- b\n", "node.yaml"},
		"duplicate key":      {"name: a\nname: b\n", "name"},
		"alias bomb":         {"a: &a [x,x]\nb: &b [*a,*a]\nname: *b\n", "anchors and aliases"},
		"binary":             {"name: \xff\xfe\n", "not UTF-8"},
		"NUL":                {"name: a\x00b\n", "not UTF-8"},
		"deep":               {"name: " + strings.Repeat("[", 30000) + "\n", "node.yaml"},
		"huge":               {"name: " + strings.Repeat("x", 1<<20) + "\n", "larger than"},
		"config in config":   {"config: other.yaml\n", `unknown key "config"`},
		"comma in a list":    {"join: ['a:1,b:2']\n", "comma"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := settled(t, nil, nil, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestNodeFileErrorsDoNotQuoteTheSecret: the file is where the join token belongs, so no error may show the lines around a fault.
func TestNodeFileErrorsDoNotQuoteTheSecret(t *testing.T) {
	for _, file := range []string{
		"name: a\njoin-token: hfi1.SECRET\nname: again\n", "join-token: hfi1.SECRET\n  bad: [\n", "join-token: [hfi1.SECRET, {a: b}]\n",
		"join-token: {hfi1.SECRET: 1}\n", "join-token: \"hfi1.SECRET\n", "- join-token: hfi1.SECRET\n", "join-token: hfi1.SECRET\nbootstrap: perhaps\n",
	} {
		if _, err := settled(t, nil, nil, file); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestEmptyNodeFileIsLegal(t *testing.T) {
	if _, err := settled(t, nil, nil, "# nothing but a comment\n"); err != nil {
		t.Error(err)
	}
}

func TestVariableFaultNamesTheVariable(t *testing.T) {
	_, err := settled(t, nil, map[string]string{"HOLDFAST_BOOTSTRAP": "perhaps"}, "")
	if err == nil || !strings.Contains(err.Error(), "HOLDFAST_BOOTSTRAP") {
		t.Errorf("got error %v", err)
	}
}

func FuzzNodeFile(f *testing.F) {
	f.Add("name: n1\njoin: [a:1]\n")
	f.Add("a: &x 1\nb: *x\n")
	f.Add("clusters:\n  - name: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config := server.Defaults()
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		nodeFlags(flags, &config, new(string))
		if err := settle(flags, path, func(string) (string, bool) { return "", false }); err != nil && err.Error() == "" {
			t.Error("an error without a text")
		}
	})
}
