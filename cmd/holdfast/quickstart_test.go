package main

import (
	"os"
	"strings"
	"testing"
)

// TestQuickstartUnit: the unit that is printed is the one that the project ships.
func TestQuickstartUnit(t *testing.T) {
	want, err := os.ReadFile("../../scripts/systemd/holdfast.service")
	if err != nil {
		t.Fatal(err)
	}
	if systemdUnit != string(want) {
		t.Error("scripts/systemd/holdfast.service is another one")
	}
}

func newQuickstart() *quickstart {
	return &quickstart{group: "shop", contextRoot: "/", listen: ":8080", instances: []string{"http://10.0.0.11:8080"}, adminPort: 7700}
}

// TestQuickstart: TC-14. What is printed for machines by address and by name.
func TestQuickstart(t *testing.T) {
	text, err := newQuickstart().steps([]string{"n1=10.0.0.1", "n2=lb2.example:4000", "n3=2001:db8::3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"\n# --- 1. on any machine", "holdfast init --group shop", "\n# --- 2. on n1 (10.0.0.1)", "\npeer-addr: \"10.0.0.1:7701\"\nadmin-addr: \"127.0.0.1:7700\"\nbootstrap-expect: 3\n",
		"\npeer-addr: \":4000\"\nadvertise: \"lb2.example:4000\"\n", "\npeer-addr: \"[2001:db8::3]:7701\"\n", `join: ["10.0.0.1:7701", "lb2.example:4000", "[2001:db8::3]:7701"]`,
		systemdUnit, "\nsystemctl enable --now holdfast\n", "\nholdfast config apply -f shop.yaml --wait\n", "\nholdfast status\n", "rm -f holdfast.env /etc/holdfast/env",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if strings.Contains(text, "bind-address") || strings.Count(text, "# --- 2. on ") != 3 {
		t.Error(text)
	}
}

// TestQuickstartRefuses what makes no group, and what must not get into a shell or a file.
func TestQuickstartRefuses(t *testing.T) {
	good := []string{"n1=10.0.0.1", "n2=10.0.0.2", "n3=10.0.0.3"}
	with := func(first string) []string { return append([]string{first}, good[1:]...) }
	for says, args := range map[string][]string{
		"want NAME=HOST":                 with("n1"),
		"is not a node name":             with("n 1=10.0.0.1"),
		"is not a node name: 1 to":       with("$(reboot)=10.0.0.1"),
		"neither an address nor":         with("n1=a;reboot"),
		"neither an address":             with("n1=$(reboot)"),
		"nor the name of a host":         with("n1='"),
		"the name of a host":             with("n1="),
		"neither an address nor the":     with("n1=a\nb"),
		"is not a port":                  with("n1=10.0.0.1:0"),
		`"x" is not a port`:              with("n1=10.0.0.1:x"),
		"write NAME=HOST or":             with("n1=http://10.0.0.1"),
		"can dial":                       with("n1=0.0.0.0"),
		"no address that":                with("n1=fe80::1%eth0"),
		"two nodes":                      with("n2=10.0.0.1"),
		"of that name or at that":        with("n1=10.0.0.2"),
		"node n2 is on 10.0.0.2 too":     append(good[:2:2], "n3=10.0.0.2:4000"),
		"2 nodes: a group has 3, 5 or 7": good[:2],
		"4 nodes":                        append(good, "n4=10.0.0.4"),
	} {
		if text, err := newQuickstart().steps(args); err == nil || !strings.Contains(err.Error(), says) || text != "" {
			t.Errorf("%v: %v, want %q", args, err, says)
		}
	}
	for says, change := range map[string]func(*quickstart){
		"--group": func(q *quickstart) { q.group = "a b" }, "--admin-port": func(q *quickstart) { q.adminPort = 0 }, "contextRoot": func(q *quickstart) { q.contextRoot = "shop\nEOF\nreboot" },
		"listeners[0].address": func(q *quickstart) { q.listen = "x" }, "instances[0]": func(q *quickstart) { q.instances = []string{"ftp://x"} }, "--instance": func(q *quickstart) { q.instances = nil },
	} {
		q := newQuickstart()
		change(q)
		if _, err := q.steps(good); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
