package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestACrashInARestartStorm: a process that ends by itself between two kills breaks a promise, whatever the next start would hide; one that runs until it is killed does not.
func TestACrashInARestartStorm(t *testing.T) {
	for name, c := range map[string]struct{ serve, want string }{
		"runs":            {"exec sleep 60", ""},
		"refuses":         {"echo the log is damaged; exit 3", "exit status 3"},
		"crashes":         {"echo panic: apply; kill -SEGV $$", "panic: apply"},
		"crashes at once": {`[ -e "$0.once" ] && exec sleep 60; : >"$0.once"; exit 2`, "exit status 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			binary := filepath.Join(dir, "holdfast")
			script := "#!/bin/sh\n[ $1 = init ] && { echo hfi1.secret; exit; }\necho >>\"$0.starts\"\n" + c.serve + "\n"
			if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			var set proc.Set
			t.Cleanup(set.Close)
			g, err := group.New(t.Context(), group.Options{Binary: binary, Dir: dir, Set: &set, Nodes: 1})
			if err != nil {
				t.Fatal(err)
			}
			f := &Field{Stage: &stage.Stage{Group: g}, Ledger: ledger.New(), Witness: silent{}}
			heal, err := restartStorm(t.Context(), f, Order{Target: "n1", Random: rand.New(rand.NewPCG(1, 1))})
			if err != nil {
				t.Fatal(err)
			}
			limited, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := proc.Poll(limited, 20*time.Millisecond, func() error { // it has been killed and started again, or has ended by itself
				starts, _ := os.ReadFile(binary + ".starts")
				if len(starts) < 1 || c.want == "" && len(starts) < 3 || c.want != "" && g.Nodes[0].Alive() {
					return errors.New("not yet")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			err = heal(context.WithoutCancel(t.Context()))
			if errors.Is(err, ErrBroken) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if f.MayBeDown("n1") {
				t.Error("the node may still be away")
			}
			g.Nodes[0].Kill()
		})
	}
}
