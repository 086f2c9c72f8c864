package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// systemctl stands in for systemd's, on machines that are directories: 'enable --now' starts what the unit says, with the unit's environment.
const systemctl = `#!/bin/sh
set -e
case "$1" in
daemon-reload) exit 0 ;;
enable) ;;
*) echo "systemctl $*: not expected" >&2; exit 1 ;;
esac
unit=$MACHINE/units/holdfast.service
run=$(sed -n 's/^ExecStart=//p' "$unit")
env=$(sed -n 's/^EnvironmentFile=-//p' "$unit")
set -a
if [ -f "$env" ]; then . "$env"; fi
set +a
nohup $run >"$MACHINE/log" 2>&1 </dev/null &
echo $! >"$MACHINE/pid"
`

// block is what quickstart prints for one shell.
type block struct{ title, script string }

func blocksOf(text string) (list []block) {
	for _, part := range strings.Split(text, "\n# --- ")[1:] {
		title, script, _ := strings.Cut(part, "\n")
		list = append(list, block{title, script})
	}
	return list
}

// TestQuickstartRuns: TC-14. Every block that 'holdfast quickstart' prints is run as it is, in real shells, against real processes; all that is changed is where the machines have their
// files, since they are one machine here. In the end the group serves.
func TestQuickstartRuns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the shop") }))
	t.Cleanup(app.Close)
	ports, err := proc.Ports(3, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	peer, admin, web := ports[0], ports[1], ports[2]
	args := []string{"quickstart", "--group", "shop", "--context-root", "/shop", "--listen", fmt.Sprintf(":%d", web), "--admin-port", strconv.Itoa(admin), "--instance", app.URL}
	for i := 1; i <= 3; i++ {
		args = append(args, fmt.Sprintf("n%d=127.0.0.%d:%d", i, i, peer))
	}
	text, err := exec.CommandContext(ctx, binary, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Symlink(binary, filepath.Join(bin, "holdfast")), os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755)); err != nil {
		t.Fatal(err)
	}
	machine := func(name string) string { return filepath.Join(dir, name) }
	t.Cleanup(func() {
		for _, name := range []string{"n1", "n2", "n3"} {
			end(t, machine(name))
			if log, err := os.ReadFile(filepath.Join(machine(name), "log")); err == nil && t.Failed() {
				t.Logf("%s:\n%s", name, log[max(0, len(log)-3000):])
			}
		}
	})
	shell := func(name, script string) string {
		t.Helper()
		if !strings.Contains(script, "holdfast doctor") { // what that finds wrong with this machine is not our business
			script = "set -e\n" + script
		}
		m := machine(name)
		for _, sub := range []string{"etc", "units", "data"} {
			if err := os.MkdirAll(filepath.Join(m, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		script = strings.NewReplacer("/etc/holdfast", m+"/etc", "/etc/systemd/system", m+"/units", "/var/lib/holdfast", m+"/data", "/usr/local/bin/holdfast", binary).Replace(script)
		cmd := exec.CommandContext(ctx, "sh")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(script)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MACHINE="+m)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && !strings.Contains(script, "holdfast doctor") {
			t.Fatalf("on %s: %v\n%s\n%s", name, err, script, out.Bytes())
		}
		return out.String()
	}
	named := regexp.MustCompile(`on (n[0-9])`)
	ran := 0
	for _, b := range blocksOf(string(text)) {
		names := []string{"n1"}
		if m := named.FindStringSubmatch(b.title); m != nil {
			names[0] = m[1]
		} else if strings.Contains(b.title, "on each machine") {
			names = []string{"n1", "n2", "n3"}
		}
		if strings.HasPrefix(b.title, "3.") { // "when all nodes run"
			for i := 1; i <= 3; i++ {
				if err := answers(ctx, fmt.Sprintf("http://127.0.0.%d:%d/readyz", i, admin)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range names {
			out := shell(name, b.script)
			if strings.HasPrefix(b.title, "5.") && (!strings.Contains(out, "n3") || !strings.Contains(out, "cluster1") || !strings.Contains(out, "node n1 is ready")) {
				t.Errorf("%s", out)
			}
			ran++
		}
	}
	// What is left on the machine is enough for a node to come back.
	end(t, machine("n2"))
	shell("n2", "systemctl enable --now holdfast")
	if err := answers(ctx, fmt.Sprintf("http://127.0.0.2:%d/readyz", admin)); err != nil {
		t.Fatal(err)
	}
	if ran != 9 {
		t.Errorf("%d blocks were run", ran)
	}
	for i := 1; i <= 3; i++ {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.%d:%d/shop/", i, web))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.Body.Close(); resp.StatusCode != 200 || string(b) != "the shop" || len(resp.Cookies()) != 1 {
			t.Errorf("node %d: %d %s", i, resp.StatusCode, b)
		}
		if _, err := os.Stat(filepath.Join(machine(fmt.Sprintf("n%d", i)), "etc", "env")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the secret is still there: %v", err)
		}
	}
}

// answers waits until an address answers 200.
func answers(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return nil
			}
			err = fmt.Errorf("%s: %d", url, resp.StatusCode)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// end ends the process of a machine, by the id that its systemctl noted.
func end(t *testing.T, machine string) {
	text, err := os.ReadFile(filepath.Join(machine, "pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Error(err)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if err := os.Remove(filepath.Join(machine, "pid")); err != nil {
		t.Error(err)
	}
}
