package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/gameday"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// hangUps has SIGHUP arrive, also where whoever runs the tests has it ignored (nohup), until the test ends.
func hangUps(t *testing.T) {
	all := make(chan os.Signal, 1)
	signal.Notify(all, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(all) })
}

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), s); err != nil {
		t.Error(err)
	}
}

// TestSignalsEndARun: a terminal that goes is a reason, too.
func TestSignalsEndARun(t *testing.T) {
	hangUps(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		ctx, stop := untilSignal(t.Context())
		signalSelf(t, s)
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Second):
			t.Fatalf("%v ends nothing", s)
		}
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), signalNames[s]) {
			t.Error(err)
		}
		stop()
		stop()
	}
}

// TestSignalsDuringAGameDay: the connection goes while the leader is evacuated, nobody leads for a while, and somebody sends more signals. It is taken back all the same.
func TestSignalsDuringAGameDay(t *testing.T) {
	hangUps(t)
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	var evacuated, undone atomic.Int32
	group := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			_, _ = fmt.Fprint(w, `{"quorum": true, "leader": "n1", "stateHash": "equal", "nodes": [
				{"name": "n1", "voter": true, "reachable": true, "ready": true}, {"name": "n2", "voter": true, "reachable": true, "ready": true}, {"name": "n3", "voter": true, "reachable": true, "ready": true}]}`)
		case http.MethodPost:
			evacuated.Add(1)
			_, _ = fmt.Fprint(w, "{}")
			signalSelf(t, syscall.SIGHUP)
		case http.MethodDelete:
			switch undone.Add(1) {
			case 1:
				signalSelf(t, syscall.SIGINT)
			case 2:
				signalSelf(t, syscall.SIGTERM)
			case 3:
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"status": 503, "code": "no-quorum", "detail": "nobody leads"}`)
		}
	}))
	defer group.Close()
	status, _, errOut := chaosCommand(t, "gameday", "--execute", "--admin", group.URL, "--probe", site.URL, "--fault", "evacuate", "--for", "10m", "--max-outage", "0")
	if status != exitProblem || evacuated.Load() != 1 || undone.Load() != 3 {
		t.Errorf("exit status %d, %d evacuations, %d times to undo", status, evacuated.Load(), undone.Load())
	}
	for _, want := range []string{
		"SIGHUP: taking back what was done", "taking back, for 2m0s at most: node n1, which leads, is evacuated (by hand: holdfast node evacuate n1 --undo --admin ", "SIGINT: still taking back", "SIGTERM: still taking back",
		"nobody leads", "holdfast-chaos: interrupted by SIGHUP",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q is not in\n%s", want, errOut)
		}
	}
}

// TestGameDayJudgesOutages: also where no probe has failed.
func TestGameDayJudgesOutages(t *testing.T) {
	for limit, want := range map[time.Duration]int{0: 0, 2 * time.Second: exitBroken, 4 * time.Second: 0} {
		rec := record.New(record.Run{})
		begin := time.Now()
		rec.Request(begin, begin, true, 0)
		rec.Request(begin, begin.Add(3*time.Second), true, 0)
		var b strings.Builder
		err := endGameday(&b, &gameday.Options{Record: rec, MaxFailed: 0.01, MaxOutage: limit}, nil, "")
		if exitStatus(err) != want || !strings.Contains(b.String(), "0 of 2 probes failed, the longest time without a good answer was 3.") {
			t.Errorf("limit %v: %v, %s", limit, err, b.String())
		}
	}
}
