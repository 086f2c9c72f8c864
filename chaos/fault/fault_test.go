package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/disk"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/lan"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestEveryFaultIsComplete: it has a name of its own, a sentence, a row of the table of faults, amounts that can be written and read, and a way to be injected.
func TestEveryFaultIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		if seen[f.Name] || f.Name == "" || strings.ToLower(f.Name) != f.Name || strings.ContainsAny(f.Name, " _") {
			t.Errorf("the name %q is there twice, or is none", f.Name)
		}
		seen[f.Name] = true
		if f.About == "" || f.inject == nil || len(f.Rows) == 0 || !slices.Contains([]Kind{OnNode, OnInstance, OnGroup}, f.Kind) {
			t.Errorf("%s is not complete: %+v", f.Name, f)
		}
		if (f.Measure == None) != (len(f.Amounts) == 0) {
			t.Errorf("%s: measure %q, amounts %v", f.Name, f.Measure, f.Amounts)
		}
		for _, a := range f.Amounts {
			text := f.Measure.Format(a)
			if got, err := f.Measure.Parse(text); err != nil || got != a {
				t.Errorf("%s: %v is written %q and read %v, %v", f.Name, float64(a), text, got, err)
			}
		}
		got, err := ByName(f.Name)
		if err != nil || got.Name != f.Name {
			t.Errorf("%s is not found: %v", f.Name, err)
		}
		if f.Takes && !f.Holds {
			t.Errorf("%s takes a disk away and does not hold the process", f.Name)
		}
	}
	if len(seen) < 35 {
		t.Errorf("only %d faults", len(seen))
	}
}

func TestNamesThatAreSpeltWrong(t *testing.T) {
	for name, want := range map[string]string{
		"kil": "did you mean kill?", "isolat": "did you mean isolate?", "instance-kil": "did you mean instance-kill?", "": "list --faults", "unheard-of": "list --faults",
		strings.Repeat("x", 1<<20): "list --faults",
	} {
		_, err := ByName(name)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.20q: %v, want %q", name, err, want)
		}
	}
}

func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		m    Measure
		text string
		want Amount
		ok   bool
	}{
		{Duration, "200ms", 0.2, true}, {Duration, " 1s ", 1, true}, {Duration, "0s", 0, false}, {Duration, "-1s", 0, false}, {Duration, "5", 0, false}, {Duration, "9999999h", 0, false},
		{Offset, "+1h", 3600, true}, {Offset, "-24h", -86400, true}, {Offset, "x", 0, false},
		{Share, "20%", 0.2, true}, {Share, "0.5", 0.5, true}, {Share, "0", 0, false}, {Share, "101%", 0, false}, {Share, "NaN", 0, false}, {Share, "-1%", 0, false}, {Share, "%", 0, false},
		{Rate, "32KiB", 32 << 10, true}, {Rate, "2MiB", 2 << 20, true}, {Rate, "100000", 1e5, true}, {Rate, "0", 0, false}, {Rate, "-5KiB", 0, false}, {Rate, "1e300", 0, false}, {Rate, "KiB", 0, false},
		{Count, "8", 8, true}, {Count, "0", 0, false}, {Count, "-1", 0, false}, {Count, "99999999", 0, false}, {Count, "1.5", 0, false},
		{None, "1", 0, false},
	} {
		got, err := c.m.Parse(c.text)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q as %s: %v, %v", c.text, c.m, got, err)
		}
	}
}

// FuzzAmount: what is read as an amount is written so that it is read as the same.
func FuzzAmount(f *testing.F) {
	for i, text := range []string{"200ms", "+1h", "20%", "32KiB", "8"} {
		f.Add(i, text)
	}
	measures := []Measure{Duration, Offset, Share, Rate, Count}
	f.Fuzz(func(t *testing.T, which int, text string) {
		m := measures[uint(which)%uint(len(measures))]
		a, err := m.Parse(text)
		if err != nil {
			return
		}
		written := m.Format(a)
		again, err := m.Parse(written)
		if err != nil || m.Format(again) != written {
			t.Errorf("%q is %v, written %q, read %v, %v", text, float64(a), written, float64(again), err)
		}
	})
}

type silent struct{ Witness }

func (silent) Say(string, string) {}

// stilled is a field without processes.
func stilled() *Field {
	g := &group.Group{Nodes: []*group.Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}}
	return &Field{Stage: &stage.Stage{Group: g, Instances: []*stage.Instance{{Name: "instance1"}, {Name: "instance2"}}}, Ledger: ledger.New(), Witness: silent{}}
}

// TestANodeOffTheNetworkHurtsNoInstance: whoever is cut off alone, the sessions of all stay where they are; a node that reaches one instance and not another may move some.
func TestANodeOffTheNetworkHurtsNoInstance(t *testing.T) {
	for name, c := range map[string]struct {
		how  func(*Field, func() (func() error, error)) (Heal, error)
		want int
	}{"off": {(*Field).offTheNetwork, 1}, "half off": {(*Field).halfOffTheNetwork, 0}} {
		f := stilled()
		told := func(instance string) ledger.Answer {
			return ledger.Answer{At: time.Now(), Node: "n2", Instance: instance, Session: "S"}
		}
		if _, err := c.how(f, func() (func() error, error) { return nil, errors.New("no cable") }); err == nil || f.Ledger.Hurting("instance1") {
			t.Errorf("%s: a fault that could not be injected: %v", name, err)
		}
		f = stilled()
		e := f.Ledger.Told("plain", told("instance1"))
		heal, err := c.how(f, func() (func() error, error) { return func() error { return nil }, nil })
		if err != nil {
			t.Fatal(err)
		}
		f.Ledger.Repeated(e, told("instance2"))
		if err := heal(t.Context()); err != nil || f.Ledger.Hurting("instance1") {
			t.Errorf("%s: healed: %v", name, err)
		}
		if list, n := f.Ledger.Violations(); n != c.want {
			t.Errorf("%s: %d violations, want %d: %v", name, n, c.want, list)
		}
	}
}

// TestClaims: nothing is held twice, and what cannot be held whole is not held at all.
func TestClaims(t *testing.T) {
	f := stilled()
	named := func(name string) *Fault {
		fault, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return fault
	}
	kill, freeze, isolate, wipe, all := named("kill"), named("freeze"), named("isolate"), named("wipe"), named("kill-all")
	release, err := f.Claim(kill, "n1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fault  *Fault
		target string
		held   bool
	}{
		"the same":      {freeze, "n1", true},
		"another one":   {freeze, "n2", false},
		"its network":   {isolate, "n1", false},
		"its files":     {named("few-files"), "n1", true}, // two of them would each take the other's limit for the one from before
		"all of them":   {all, "", true},
		"its disk":      {wipe, "n1", true},
		"another's":     {wipe, "n2", false},
		"an instance's": {named("instance-kill"), "instance1", false},
	} {
		over, err := f.Claim(c.fault, c.target)
		if errors.Is(err, ErrHeld) != c.held {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			over()
		}
	}
	one, err := f.Claim(wipe, "n2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Claim(wipe, "n3"); !errors.Is(err, ErrHeld) {
		t.Errorf("two disks at a time: %v", err)
	}
	one()
	release()
	if over, err := f.Claim(all, ""); err != nil {
		t.Errorf("all is free: %v", err)
	} else {
		over()
	}
}

// TestTargets: a target that is named is that one; a drawn one is free, and the same for the same draw.
func TestTargets(t *testing.T) {
	f := stilled()
	resolve := func(name, target string, seed uint64) (string, error) {
		fault, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return f.Resolve(t.Context(), fault, target, rand.New(rand.NewPCG(seed, 0)))
	}
	for _, c := range []struct{ fault, target, want string }{{"kill", "n2", "n2"}, {"instance-kill", "instance2", "instance2"}, {"halves", "", ""}} {
		if got, err := resolve(c.fault, c.target, 1); err != nil || got != c.want {
			t.Errorf("%s on %q is %q, %v", c.fault, c.target, got, err)
		}
	}
	drawn := map[string]int{}
	for seed := range uint64(60) {
		one, err := resolve("kill", Any, seed)
		two, again := resolve("kill", Any, seed)
		if err != nil || again != nil || one != two {
			t.Fatalf("%s, %v; %s, %v", one, err, two, again)
		}
		drawn[one]++
	}
	if len(drawn) != 3 {
		t.Errorf("drawn: %v", drawn)
	}
	if _, err := f.claim("somebody", "n1", "n3"); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		if got, err := resolve("kill", Any, seed); err != nil || got != "n2" {
			t.Fatalf("%s is drawn, %v", got, err)
		}
	}
	if _, err := f.claim("somebody", "n2"); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve("kill", Any, 1); !errors.Is(err, ErrHeld) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAbsence: a node may be down as long as one reason is left.
func TestAbsence(t *testing.T) {
	f := stilled()
	one, two := f.Absent("n1"), f.Absent("n1")
	one()
	one()
	if !f.MayBeDown("n1") || f.MayBeDown("n2") {
		t.Error("n1 has a reason left, n2 none")
	}
	two()
	if f.MayBeDown("n1") {
		t.Error("n1 has no reason left")
	}
}

// TestWhoMayEndForItsDisk: a node goes on while its disk is slow or full, so its end then is noticed; while the disk hangs or fails a sync it may end.
func TestWhoMayEndForItsDisk(t *testing.T) {
	for _, fault := range diskFaults() {
		f := stilled()
		f.Disks = map[string]*disk.Disk{"n1": {}}
		if _, err := fault.Inject(t.Context(), f, Order{Target: "n1", Amount: 0.1}); err != nil {
			t.Fatal(err)
		}
		if f.MayBeDown("n1") != fault.Ends {
			t.Errorf("%s: the node may be down: %v, it may end: %v", fault.Name, f.MayBeDown("n1"), fault.Ends)
		}
	}
}

// TestLinks: who is cut off from whom.
func TestLinks(t *testing.T) {
	five := &Field{Stage: &stage.Stage{Group: &group.Group{}}}
	for _, name := range []string{"n1", "n2", "n3", "n4", "n5"} {
		five.Stage.Group.Nodes = append(five.Stage.Group.Nodes, &group.Node{Name: name})
	}
	for seed := range uint64(20) {
		order := func(target string) Order { return Order{Target: target, Random: rand.New(rand.NewPCG(seed, 0))} }
		if n := len(halves(five, order(""))); n != 2*2*3 {
			t.Errorf("halves cut %d links", n)
		}
		cut := ring(five, order(""))
		if len(cut) != 5*2 {
			t.Errorf("a ring cuts %d links", len(cut))
		}
		for _, l := range bridge(five, order("n3")) {
			if l.from == "n3" || l.to == "n3" {
				t.Errorf("the bridge is cut: %+v", l)
			}
		}
		if n := len(bridge(five, order("n3"))); n != 2*2*2 {
			t.Errorf("a bridge leaves %d links cut", n)
		}
	}
}

// TestWhatIsNotHere: what a place lacks is said.
func TestWhatIsNotHere(t *testing.T) {
	for _, c := range []struct {
		fault string
		place Place
		want  string
	}{
		{"kill", Place{Substrate: Loopback, Nodes: 3}, ""},
		{"kill", Place{Substrate: "moon", Nodes: 3}, `not on substrate "moon"`},
		{"ring", Place{Substrate: Loopback, Nodes: 3}, "four nodes"},
		{"ring", Place{Substrate: Loopback, Nodes: 5}, ""},
		{"slow-disk", Place{Substrate: Loopback, Nodes: 3}, "needs "},
		{"other-version", Place{Substrate: Loopback, Nodes: 3}, "--other"},
		{"other-version", Place{Substrate: Loopback, Nodes: 3, Other: "/bin/holdfast"}, ""},
	} {
		f, err := ByName(c.fault)
		if err != nil {
			t.Fatal(err)
		}
		switch err := f.Available(c.place); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s in %+v: %v", c.fault, c.place, err)
		}
	}
}

// TestWhatNeedsMachinesSaysSo: a fault that is done in network namespaces alone is not here where there can be none.
func TestWhatNeedsMachinesSaysSo(t *testing.T) {
	want, n := lan.Missing(), 0
	for _, f := range All() {
		if f.Only != Netns {
			continue
		}
		n++
		if err := f.Available(Place{Substrate: Netns, Nodes: 3}); (err == nil) != (want == nil) || err != nil && !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%s: %v, and network namespaces: %v", f.Name, err, want)
		}
	}
	if n < 5 {
		t.Errorf("there are %d", n)
	}
}

// TestBackground: a heal ends what runs, waits for it, and runs what comes after, also when it had failed.
func TestBackground(t *testing.T) {
	for _, failure := range []error{nil, errors.New("it broke")} {
		began, ended, after := make(chan struct{}), false, false
		heal := background(func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			ended = true
			if failure != nil {
				return failure
			}
			return ctx.Err()
		}, func(context.Context) error { after = true; return nil })
		<-began
		if err := heal(t.Context()); !errors.Is(err, failure) || !ended || !after {
			t.Errorf("%v, ended %v, after %v", err, ended, after)
		}
	}
}

// TestWhatIsDamaged: bytes of a file at that place are changed, none elsewhere; where there is no file, that is said and nothing else is damaged in its place.
func TestWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, make([]byte, 100), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	whole := func(name string) bool {
		data, err := os.ReadFile(filepath.Join(dir, name))
		return err == nil && bytes.Equal(data, make([]byte, 100))
	}
	write("node.json")
	order := Order{Amount: 1, Random: rand.New(rand.NewPCG(1, 1))}
	if name, err := changeFile(dir, "snapshots", order); err == nil || !whole("node.json") {
		t.Errorf("without a snapshot %q was damaged, %v", name, err)
	}
	write("snapshots/1/state.bin")
	if name, err := changeFile(dir, "snapshots", order); err != nil || name != "snapshots/1/state.bin" || whole(name) || !whole("node.json") {
		t.Errorf("%q was damaged, %v", name, err)
	}
	if name, err := changeFile(dir, "node.json", order); err != nil || name != "node.json" || whole(name) {
		t.Errorf("%q was damaged, %v", name, err)
	}
}

// TestWhatABackupIsBlamedFor: only a verification that came to its end has found something.
func TestWhatABackupIsBlamedFor(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	const says = `echo '{"archives": [{"error": "damaged archive", "damaged": true, "verified": false}]}'; `
	for name, c := range map[string]struct {
		ctx    context.Context
		script string
		want   bool
	}{
		"damaged":      {t.Context(), says + "exit 1", true},
		"unreadable":   {t.Context(), `echo '{"archives": [{"error": "denied", "verified": false}]}'; exit 1`, false},
		"says nothing": {t.Context(), "exit 1", false},
		"wrong usage":  {t.Context(), "exit 2", false},
		"killed":       {t.Context(), says + "kill -9 $$", false},
		"too late":     {over, says + "exit 1", false},
	} {
		if text, err := exec.Command("sh", "-c", c.script).Output(); err == nil || damaged(c.ctx, text, errors.Join(errors.New("verify"), err)) != c.want {
			t.Errorf("%s: %s: %v", name, text, err)
		}
	}
	if damaged(t.Context(), nil, errors.New("no such program")) {
		t.Error("a program that is not there has found damage")
	}
}

// TestWhatAProcessHas: the memory that counts for the limit grows with what is taken, and a process that is gone has none to tell of.
func TestWhatAProcessHas(t *testing.T) {
	before, err := dataOf(os.Getpid())
	if err != nil || before == 0 {
		t.Fatalf("%d, %v", before, err)
	}
	taken, err := unix.Mmap(-1, 0, 64*mebibyte, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	after, err := dataOf(os.Getpid())
	if err := errors.Join(err, unix.Munmap(taken)); err != nil || after < before+60*mebibyte {
		t.Errorf("%d after %d, %v", after, before, err)
	}
	if n, err := dataOf(1 << 30); err == nil {
		t.Errorf("nobody has %d", n)
	}
}

// TestHowACommandEnded: by its status, also through what was made of its error; what has not ended has none.
func TestHowACommandEnded(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"refused": {fmt.Errorf("recover: %w", exec.Command("sh", "-c", "exit 3").Run()), 3},
		"killed":  {exec.Command("sh", "-c", "kill -9 $$").Run(), -1},
		"well":    {nil, -1},
		"never":   {errors.New("no such program"), -1},
	} {
		if got := status(c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestAGroupOfOneHasNoMajorityToLose, and says so as what a scenario can mend.
func TestAGroupOfOneHasNoMajorityToLose(t *testing.T) {
	f, err := ByName("lost-majority")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Available(Place{Substrate: Loopback, Nodes: 1}); !errors.Is(err, ErrLacks) {
		t.Errorf("a group of one: %v", err)
	}
	if err := f.Available(Place{Substrate: Loopback, Nodes: 3}); err != nil {
		t.Error(err)
	}
}
