package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own child: HOLDFAST_TEST_CHILD says what to be.
func TestMain(m *testing.M) {
	switch role := os.Getenv("HOLDFAST_TEST_CHILD"); role {
	case "":
		os.Exit(m.Run())
	case "serve": // answers /ready for ever
		fmt.Println("serving")
		http.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
		fmt.Println(http.ListenAndServe(os.Getenv("HOLDFAST_TEST_ADDR"), nil))
		os.Exit(1)
	case "fail":
		fmt.Println("one\ntwo\nthree")
		os.Exit(7)
	case "hand-on": // starts another one in its own place, says its id, and ends when it is told to
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "HOLDFAST_TEST_CHILD=serve")
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Println(child.Process.Pid)
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGUSR1)
		<-stop
	case "parent": // starts a child, prints its id and panics
		child, err := Start(spec("child", "serve", os.TempDir(), "127.0.0.1:0"))
		if err != nil {
			panic(err)
		}
		fmt.Println(child.Pid())
		panic("BUG: on purpose")
	default:
		panic(role)
	}
}

func spec(name, role, dir, addr string) Spec {
	return Spec{
		Name: name, Path: os.Args[0], Log: filepath.Join(dir, name+".log"),
		Env: []string{"HOLDFAST_TEST_CHILD=" + role, "HOLDFAST_TEST_ADDR=" + addr},
	}
}

func serving(t *testing.T, set *Set) (*Process, string) {
	t.Helper()
	ports, err := Ports(1, "127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0]))
	p, err := set.Start(spec("serve", "serve", t.TempDir(), addr))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Ready(ctx, "http://"+addr+"/ready"); err != nil {
		t.Fatal(err)
	}
	return p, addr
}

func answers(addr string) error {
	client := http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + addr + "/ready")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func TestLifeOfAProcess(t *testing.T) {
	var set Set
	defer set.Close()
	p, addr := serving(t, &set)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if answers(addr) == nil {
		t.Error("a frozen process answers")
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := Poll(ctx, 10*time.Millisecond, func() error { return answers(addr) }); err != nil {
		t.Errorf("after thaw: %v", err)
	}
	if !p.Alive() {
		t.Error("not alive")
	}
	p.Kill()
	p.Kill()
	if p.Alive() || p.Err() == nil {
		t.Errorf("after kill: alive %v, end %v", p.Alive(), p.Err())
	}
	if err := p.Freeze(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("freezing an ended process: %v", err)
	}
}

// handedOn gives a process that has started another one in its own place, and that one, which was adopted.
func handedOn(t *testing.T, set *Set) (before, heir *Process, addr string) {
	t.Helper()
	if err := Inherit(); err != nil {
		t.Fatal(err)
	}
	ports, err := Ports(1, "127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	addr = net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0]))
	before, err = set.Start(spec("hand-on", "hand-on", t.TempDir(), addr))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pid := 0
	err = Poll(ctx, 5*time.Millisecond, func() error {
		_, err := fmt.Sscanf(before.Tail(1, nil), "hand-on| %d", &pid)
		return err
	})
	if err == nil {
		heir, err = set.Adopt(before, pid)
	}
	if err == nil {
		err = heir.Ready(ctx, "http://"+addr+"/ready")
	}
	if err != nil {
		t.Fatal(err)
	}
	if heir.Pid() != pid || heir.Group() != before.Pid() {
		t.Errorf("process %d in group %d was adopted from %d", heir.Pid(), heir.Group(), before.Pid())
	}
	return before, heir, addr
}

// TestAdopted: a process that another one has started in its own place is hurt, ended and waited for like one that was started here, and how it ends is known.
func TestAdopted(t *testing.T) {
	var set Set
	defer set.Close()
	before, heir, addr := handedOn(t, &set)
	if _, err := set.Adopt(before, os.Getpid()); err == nil {
		t.Error("a stranger was adopted")
	}
	if err := syscall.Kill(before.Pid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if err := before.Err(); err != nil || !heir.Alive() {
		t.Errorf("the one before: %v; the heir lives: %v", err, heir.Alive())
	}
	if err := heir.Freeze(); err != nil {
		t.Fatal(err)
	}
	if answers(addr) == nil {
		t.Error("a frozen process answers")
	}
	if err := heir.Thaw(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var ended *exec.ExitError
	if err := heir.Stop(ctx); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM || heir.Alive() {
		t.Errorf("stop: %v", err)
	}
}

// TestOneOfTwoIsKilled: the one before alone; then the set ends the other.
func TestOneOfTwoIsKilled(t *testing.T) {
	var set Set
	before, heir, addr := handedOn(t, &set)
	before.KillAlone()
	if before.Alive() || !heir.Alive() || answers(addr) != nil {
		t.Errorf("alive: %v, %v", before.Alive(), heir.Alive())
	}
	set.Close()
	if heir.Alive() || answers(addr) == nil {
		t.Error("alive after Close")
	}
}

// TestAdoptedDieWithTheirParent: nobody is left of a group when the process has ended that watches over it, whatever ended that.
func TestAdoptedDieWithTheirParent(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs, ours, err := os.Pipe()
	if err == nil {
		err = watch(theirs, cmd.Process.Pid).Start()
	}
	if err := errors.Join(err, theirs.Close(), ours.Close()); err != nil { // as the kernel closes it for whoever has ended
		t.Fatal(errors.Join(err, cmd.Process.Kill()))
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended so: %v", err)
	}
}

func TestStop(t *testing.T) {
	var set Set
	defer set.Close()
	p, _ := serving(t, &set)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// The child has no handler, so SIGTERM ends it with a status that is not 0.
	if err := p.Stop(ctx); err == nil || !strings.Contains(err.Error(), "serve| serving") {
		t.Errorf("stop: %v", err)
	}
}

func TestSetKillsFrozenProcesses(t *testing.T) {
	var set Set
	p, _ := serving(t, &set)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	set.Close()
	if p.Alive() {
		t.Error("alive after Close")
	}
	if _, err := set.Start(spec("late", "serve", t.TempDir(), "127.0.0.1:0")); err == nil {
		t.Error("a closed set starts processes")
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	p, err := Start(spec("fail", "fail", t.TempDir(), ""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = p.Ready(ctx, "http://127.0.0.1:1/ready")
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "fail| two\nfail| three") {
		t.Errorf("ready: %v", err)
	}
}

func TestChildrenDieWithAPanickingParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_CHILD=parent")
	output, err := cmd.Output()
	if err == nil {
		t.Fatal("the parent did not panic")
	}
	var pid int
	if _, err := fmt.Sscan(string(output), &pid); err != nil {
		t.Fatalf("%v in %q", err, output)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = Poll(ctx, 5*time.Millisecond, func() error {
		if err := syscall.Kill(pid, 0); err == nil && !zombie(pid) {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// zombie: where no init reaps orphans, a dead child stays in the table of processes.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestPorts(t *testing.T) {
	ports, err := Ports(20, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] || port < 1024 || port >= ephemeralStart() {
			t.Errorf("port %d in %v", port, ports)
		}
		seen[port] = true
	}
}
