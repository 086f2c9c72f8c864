package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// upgradeProgram has an operator replace the holder's program by itself: another process takes the node over, and another node the address.
func upgradeProgram(ctx context.Context, v *victim) error {
	h := v.system.(*Holdfast)
	v.command = make(chan error, 1)
	go func() {
		limited, cancel := context.WithTimeout(ctx, 90*time.Second)
		defer cancel()
		out, err := h.Command(limited, v.node, "upgrade-binary", "-o", "json")
		var done struct{ Pid int }
		if err == nil {
			err = json.Unmarshal([]byte(out), &done)
		}
		v.heir = done.Pid
		v.command <- err
	}()
	return nil
}

// ownProcessAgain has the node run in a process of the rig's own once more, when the new one serves and the one before has ended. It is a follower by then, so that nothing moves.
func ownProcessAgain(ctx context.Context, v *victim) error {
	if err := <-v.command; err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	if err := v.system.(*Holdfast).Ended(limited, v.node); err != nil {
		return err
	}
	if err := syscall.Kill(v.heir, syscall.SIGTERM); err != nil {
		return fmt.Errorf("the new process: %w", err)
	}
	err := proc.Poll(limited, every, func() error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.heir))
		if _, rest, _ := strings.Cut(string(text), ") "); err != nil || strings.HasPrefix(rest, "Z") {
			return nil
		}
		return errors.New("the new process still runs")
	})
	if err != nil {
		return err
	}
	return v.system.StartNode(ctx, v.node)
}
