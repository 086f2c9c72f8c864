package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestMain: the test binary is also the children, and the parents, of the tests with real processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && processes[os.Args[1]] != nil {
		if err := processes[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// processes are what the binary is when its first argument is this.
var processes = map[string]func(args []string) error{
	"guard-child":  func(args []string) error { return Main(openDiary(args[0])) },
	"guard-parent": func(args []string) error { return parentProcess(args[0], args[1]) },
}

// mostStall is how long this process may stand still in a test of times that are tens of milliseconds.
const mostStall = 10 * time.Millisecond

// diary is a machine that writes into a file what is done to it, a line each: time, process, what. Its addresses are those of the file's last add or
// remove, whoever wrote it, as a kernel's would be.
type diary struct {
	path string
	addr vip.Address
}

// openDiary opens it; a file of the same name with .broken makes that fail with the file's text. Like the kernel's, it removes leftovers.
func openDiary(path string) OpenFunc {
	return func(addrs []vip.Address, logf func(string, ...any)) (Machine, error) {
		if text, err := os.ReadFile(path + ".broken"); err == nil {
			return nil, errors.New(string(text))
		}
		d := &diary{path: path, addr: addrs[0]}
		logf("the diary is open")
		return d, errors.Join(d.write("open"), d.Remove())
	}
}

func (d *diary) write(format string, args ...any) error {
	f, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d %d %s\n", vip.Now(), os.Getpid(), fmt.Sprintf(format, args...))
	return errors.Join(err, f.Close())
}

func (d *diary) Add(time.Duration) error  { return d.write("add") }
func (d *diary) Remove() error            { return d.write("remove") }
func (d *diary) Announce() error          { return d.write("announce") }
func (d *diary) Silence(on bool) error    { return d.write("silence %t", on) }
func (d *diary) Relay(to []vip.Hop) error { return d.write("relay %v", to) }
func (d *diary) Close() error             { return d.write("close") }
func (d *diary) Hops() ([]vip.Hop, error) { return []vip.Hop{testHop}, nil }
func (d *diary) claims() ([]vip.Claim, error) {
	return []vip.Claim{{Address: d.addr, Hardware: "02:00:00:00:00:01"}}, nil
}

func (d *diary) Probe(ctx context.Context, wait time.Duration) ([]vip.Claim, error) {
	select {
	case <-time.After(wait):
		return d.claims()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Watch tells of a conflict when the machine's addresses are added for the first time.
func (d *diary) Watch(ctx context.Context, f func(vip.Event)) error {
	for ctx.Err() == nil {
		if entries, err := readDiary(d.path); err == nil && holds(entries) {
			claims, _ := d.claims()
			f(vip.Event{Kind: vip.EventConflict, Claim: claims[0], Text: "somebody else"})
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

type entry struct {
	at   vip.Deadline
	pid  int
	what string
}

func readDiary(path string) ([]entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []entry
	for text := range strings.Lines(string(data)) {
		at, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		pid, what, _ := strings.Cut(rest, " ")
		t, err1 := strconv.ParseInt(at, 10, 64)
		p, err2 := strconv.Atoi(pid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		out = append(out, entry{vip.Deadline(t), p, what})
	}
	return out, nil
}

// holds tells whether the addresses are there after the entries.
func holds(entries []entry) bool {
	on := false
	for _, e := range entries {
		switch e.what {
		case "add":
			on = true
		case "remove":
			on = false
		}
	}
	return on
}

// until polls a condition; it is fatal when that takes longer than 10 s.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}
