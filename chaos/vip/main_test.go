//go:build netns

package vip

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/vip/field"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make network namespaces: run them as root (make test-vip)")
		os.Exit(1)
	}
	os.Exit(built.Main(m))
}

// setting is a variable that says how much is to be done.
func setting(t testing.TB, name string, fallback int) int {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number from 1", name, text)
	}
	return n
}

// listed are the words of a variable, separated by commas.
func listed(name string, fallback ...string) (words []string) {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	for word := range strings.SplitSeq(text, ",") {
		words = append(words, strings.TrimSpace(word))
	}
	return words
}

// start starts a system that ends with the test. When the test has failed, the end of what its nodes said is shown.
func start(t testing.TB, ctx context.Context, s field.System) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", s.Name(), s.Tails())
		}
		s.Close()
	})
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.Start(limited); err != nil {
		t.Fatal(err)
	}
}

// holdfast starts a group.
func holdfast(t testing.TB, ctx context.Context, network *field.Network, o field.Options) *field.Holdfast {
	t.Helper()
	binary, err := built.Program()
	if err != nil {
		t.Fatal(err)
	}
	o.Binary, o.Dir = binary, t.TempDir()
	if kept := os.Getenv("VIP_LOGS"); kept != "" {
		o.Dir = filepath.Join(kept, o.Timing)
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h, err := field.NewHoldfast(ctx, network, o)
	if err != nil {
		t.Fatal(err)
	}
	start(t, ctx, h)
	return h
}
