//go:build !wasip1

package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// guest is this test, built for wasip1. There a Go program has one thread, is not preempted, and has nothing that differs from one run to the next but what its host gives it: entropy
// (of which the runtime draws the order of select and of maps, and crypto its keys) and the time. Both come from a number here, so that everything is decided by it.
type guest struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
}

var buildGuest = sync.OnceValues(func() (*guest, error) {
	dir, err := os.MkdirTemp("", "holdfast-sim")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "sim.wasm")
	args := []string{"test", "-c", "-o", file}
	if mutant.Built {
		args = append(args, "-tags=mutants")
	}
	build := exec.Command("go", append(args, ".")...)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w\n%s", err, out)
	}
	bytes, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	g := &guest{runtime: wazero.NewRuntime(ctx)}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, g.runtime); err != nil {
		return nil, err
	}
	g.code, err = g.runtime.CompileModule(ctx, bytes)
	return g, err
})

// entropy is what the guest's runtime draws from.
func entropy(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// exact lives through the world of a seed in a guest whose entropy is of another number, and gives what it printed; failed is that it found a violation.
func exact(t *testing.T, seed, draw uint64, args ...string) (out []byte, failed bool) {
	t.Helper()
	g, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	var print bytes.Buffer
	now := int64(time.Hour)
	tick := func() int64 { // each look at the clock takes a microsecond
		now += 1000
		return now
	}
	c := wazero.NewModuleConfig().WithName("").WithStdout(&print).WithStderr(&print).
		WithArgs(append([]string{"sim.test", "-test.v", "-test.run=^TestSeeds$", "-seeds=1", fmt.Sprintf("-first=%d", seed)}, args...)...).
		WithEnv("TMPDIR", "/tmp").WithEnv("HOLDFAST_MUTANT", os.Getenv("HOLDFAST_MUTANT")).
		WithFSConfig(wazero.NewFSConfig().WithDirMount(t.TempDir(), "/tmp")).
		WithRandSource(entropy(draw)).
		WithWalltime(func() (int64, int32) { n := tick(); return n / 1e9, int32(n % 1e9) }, sys.ClockResolution(1000)).
		WithNanotime(tick, sys.ClockResolution(1000)).
		WithNanosleep(func(ns int64) { now += ns })
	m, err := g.runtime.InstantiateModule(context.Background(), g.code, c)
	if m != nil {
		_ = m.Close(context.Background())
	}
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() != 0:
		failed = true
	case err != nil && exit == nil:
		t.Fatalf("the guest did not end: %v\n%s", err, print.Bytes())
	}
	return print.Bytes(), failed
}

var traceOf = regexp.MustCompile(`trace ([0-9a-f]{64})`)

// TestSameSeedSameHistory: the same seed gives the same history, to the last byte of each message that was delivered, and another draw of the runtime another one.
func TestSameSeedSameHistory(t *testing.T) {
	hash := func(seed, draw uint64) string {
		out, failed := exact(t, seed, draw, "-length=5s")
		m := traceOf.FindSubmatch(out)
		if failed || m == nil {
			t.Fatalf("seed %d: %s", seed, out)
		}
		return string(m[1])
	}
	first := hash(1, 1)
	if again := hash(1, 1); again != first {
		t.Errorf("seed 1 twice: traces %s and %s", first, again)
	}
	if other := hash(1, 2); other == first {
		t.Error("the trace does not tell one schedule from another")
	}
	if other := hash(2, 1); other == first {
		t.Error("the trace does not tell one plan from another")
	}
}
