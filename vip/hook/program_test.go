package hook

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// script writes a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

var testAddresses = []vip.Address{
	{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Interface: "eth0"}, {Prefix: netip.MustParsePrefix("2001:db8::100/64"), Interface: "eth1"},
}

func of(path string) *program {
	return &program{path: path, node: "n1", addrs: testAddresses, log: slog.New(slog.DiscardHandler)}
}

// TestTheProgramIsToldWhatItNeeds: argument, addresses, node, a directory; and nothing of the node's environment.
func TestTheProgramIsToldWhatItNeeds(t *testing.T) {
	t.Setenv("HOLDFAST_JOIN_TOKEN", "hfj1.secret")
	path := script(t, `echo "$1|$#|$HOLDFAST_VIP|$HOLDFAST_NODE|$HOLDFAST_JOIN_TOKEN|$PWD" >> told; echo out; echo err >&2`)
	var log bytes.Buffer
	h, err := New(path, "n1", testAddresses, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Drop(t.Context(), 0); err != nil { // that of its start
		t.Fatal(err)
	}
	if err := h.Hold(t.Context(), vip.Now().After(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := h.runner.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	told, err := os.ReadFile(filepath.Join(filepath.Dir(path), "told"))
	rest := "|1|10.0.0.100/24@eth0 2001:db8::100/64@eth1|n1||" + filepath.Dir(path) + "\n"
	if err != nil || string(told) != "dropped"+rest+"taken"+rest+"dropped"+rest {
		t.Errorf("%q, %v", told, err)
	}
	for _, want := range []string{"argument=taken line=out", "argument=dropped line=err"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: %s", want, &log)
		}
	}
}

// TestAProgramThatFails: its status and its last line are in the error.
func TestAProgramThatFails(t *testing.T) {
	h := of(script(t, "echo first; echo the API is down >&2; exit 7"))
	if err := h.run(t.Context(), taken); err == nil || !strings.HasSuffix(err.Error(), "taken ended with exit status 7: the API is down") {
		t.Error(err)
	}
	h = of(script(t, "yes | head -c 100000; exit 1"))
	if err := h.run(t.Context(), taken); err == nil || len(err.Error()) > 400 {
		t.Error(err)
	}
	h.path = script(t, "")
	if err := os.WriteFile(h.path, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := h.run(t.Context(), taken); err == nil || !strings.Contains(err.Error(), "exec format error") {
		t.Error(err)
	}
}

// TestAKilledProgramLeavesNothingRunning: what it started is killed too.
func TestAKilledProgramLeavesNothingRunning(t *testing.T) {
	path := script(t, "mkfifo pipe; (read x < pipe; echo late > late) & echo > begun; wait")
	h := of(path)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx, taken) }()
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(in("begun")); err == nil {
			break
		}
		<-tick.C
	}
	cancel(errOvertaken)
	if err := <-ended; err != errOvertaken {
		t.Error(err)
	}
	// With nobody left who reads, the pipe cannot be opened for writing without waiting.
	if f, err := os.OpenFile(in("pipe"), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_ = f.Close()
		t.Error("something still reads")
	}
}

// TestProgramsThatAreRefused: what cannot be run, and what somebody else could replace.
func TestProgramsThatAreRefused(t *testing.T) {
	good := script(t, "")
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	inOpen := filepath.Join(open, "hook")
	link := filepath.Join(dir, "link")
	if err := os.WriteFile(inOpen, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(inOpen, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"nothing":             {"", "not an absolute path"},
		"a name":              {"hook", "not an absolute path"},
		"gone":                {filepath.Join(dir, "gone"), "no such file"},
		"a directory":         {open, "chmod go-w"},
		"another directory":   {filepath.Dir(good), "is not a program"},
		"not executable":      {write("plain", 0o644), "chmod +x"},
		"open to the group":   {write("group", 0o770), "chmod go-w"},
		"open to all":         {write("all", 0o707), "chmod go-w"},
		"in an open place":    {inOpen, "chmod go-w " + open},
		"a link to it":        {link, "chmod go-w " + open},
		"something in a file": {good + "/x", "not a directory"},
	} {
		h, err := New(c.path, "n1", nil, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if h != nil {
			_ = h.Close()
		}
	}
	// One that changes later is refused when it is to be run.
	h := of(good)
	if err := os.Chmod(good, 0o722); err != nil {
		t.Fatal(err)
	}
	if err := h.run(t.Context(), taken); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Error(err)
	}
}
