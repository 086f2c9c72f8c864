//go:build netns

package vip

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/vip/field"
)

// TestBusyMachinesKeepTheAddress: with twice as many busy processes as cores, and clients that make sessions as fast as they are let, nobody stands for election and the
// address stays where it is. VIP_BUSY says for how many seconds (15).
func TestBusyMachinesKeepTheAddress(t *testing.T) {
	network := field.NewNetwork(t)
	h := holdfast(t, t.Context(), network, field.Options{Timing: "lan"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	holder, err := network.Steady(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	term, err := h.Term(ctx)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := network.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()

	var busy proc.Set
	defer busy.Close()
	for range 2 * runtime.NumCPU() {
		if _, err := busy.Start(proc.Spec{Name: "busy", Path: "sh", Args: []string{"-c", "while :; do :; done"}, Log: filepath.Join(t.TempDir(), "busy.log")}); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	load, cancel := context.WithTimeout(t.Context(), time.Duration(setting(t, "VIP_BUSY", 15))*time.Second)
	defer cancel()
	made := 0
	for load.Err() == nil {
		const batch = 2_000
		if _, err := network.MakeSessions(load, batch); err != nil {
			if load.Err() == nil {
				t.Fatal(err)
			}
			break
		}
		made += batch
	}
	lasted := time.Since(began)
	busy.Close()

	after, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	now, err := network.Steady(after, h)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.Term(after); err != nil || again != term {
		t.Errorf("term %d became %d: %v", term, again, err)
	}
	if now != holder || watch.Taken(began, time.Now()) > 0 {
		t.Errorf("the address went from node %d to %d", holder, now)
	}
	if made == 0 {
		t.Error("no session was made")
	}
	t.Logf("%.0f s with %d busy processes and %d new sessions", lasted.Seconds(), 2*runtime.NumCPU(), made)
}
