package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage"
)

// node is a group of one, in this process.
type node struct {
	config server.Config
	admin  string
	stop   func()
}

// startNode founds a group of one, or goes on with it.
func startNode(t *testing.T, dir string) *node {
	t.Helper()
	c := server.Defaults()
	c.Name, c.DataDir, c.Bootstrap = "n1", dir, true
	c.PeerAddr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	s, err := server.New(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	n := &node{config: c, admin: "http://" + s.AdminAddr().String()}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(n.stop)
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := n.status(context.Background())
		if err == nil && st.Leader == "n1" && len(st.Nodes) == 1 && st.Nodes[0].Ready {
			return n
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not ready: %+v, %v", st, err)
		}
	}
}

func (n *node) status(ctx context.Context) (*wire.Status, error) {
	c, err := client.New(client.Options{URLs: []string{n.admin}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Status(ctx, client.Stale())
}

// examine looks at a directory whose ports are free.
func examine(t *testing.T, dir string, change func(*Options)) *Report {
	t.Helper()
	c := server.Defaults()
	c.Name, c.DataDir, c.Version = "n1", dir, "dev"
	c.PeerAddr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	o := Options{Config: c}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := Run(ctx, o)
	for _, f := range r.Findings {
		if bad := f.State == Warning || f.State == Fault; f.Text == "" || bad != (f.Fix != "") || !slices.Contains(Areas, f.Area) {
			t.Errorf("a finding without text, or a fix that does not go with its state: %+v", f)
		}
	}
	return r
}

// wantFinding wants one of a state with words in its text and fix.
func wantFinding(t *testing.T, r *Report, area, check string, s State, words ...string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Area != area || f.Check != check || f.State != s {
			continue
		}
		missing := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(f.Text+"\n"+f.Fix, w) })
		if len(missing) == 0 {
			return
		}
	}
	t.Errorf("no finding %s, %s, %s with %q; there are:\n%s", area, check, s, words, dump(r))
}

func dump(r *Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s/%s %s: %s -> %s\n", f.Area, f.Check, f.State, f.Text, f.Fix)
	}
	return b.String()
}

// fingerprint sums up everything below a directory: names, modes, times of change and contents.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum := ""
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h := sha256.Sum256(b)
			sum = hex.EncodeToString(h[:])
		}
		out[path] = fmt.Sprint(info.Mode(), info.ModTime(), sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantUntouched(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	after := fingerprint(t, dir)
	for path, is := range after {
		if before[path] != is {
			t.Errorf("%s was %s, is %s", path, before[path], is)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, there were %d", len(after), len(before))
	}
}

// TestSoundNode: nothing is wrong with a node that runs, nor with its disk when it has stopped, and nothing on that disk is touched.
func TestSoundNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := examine(t, dir, nil)
	wantFinding(t, r, "data", "directory", OK, "a node that starts makes it")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("it was made: %v", err)
	}
	n := startNode(t, dir)
	r = examine(t, dir, func(o *Options) { o.Status = n.status })
	if !r.Running || r.PID != os.Getpid() || r.Count(Fault) > 0 {
		t.Errorf("running %v as %d:\n%s", r.Running, r.PID, dump(r))
	}
	wantFinding(t, r, "group", "node", OK, "node n1 is ready, leader")
	wantFinding(t, r, "net", "ports", OK, "the peer port 127.0.0.1:", "takes connections")
	wantFinding(t, r, "data", "content", Skipped, "a node has the directory open")
	wantFinding(t, r, "disk", "sync", OK, "50 writes of 4 KiB")

	n.stop()
	before := fingerprint(t, dir)
	r = examine(t, dir, nil)
	if r.Running || r.Count(Fault) > 0 || r.Node != "n1" {
		t.Errorf("stopped:\n%s", dump(r))
	}
	wantFinding(t, r, "data", "content", OK, "group holdfast, epoch 1, log index ", "0 sessions, configuration revision 0")
	wantFinding(t, r, "data", "certificate", OK, "of node n1, until ")
	wantUntouched(t, dir, before)
	startNode(t, dir).stop()
}

// TestNodeThatRunsAndDoesNotAnswer, or another one does.
func TestNodeThatRunsAndDoesNotAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := startNode(t, dir)
	r := examine(t, dir, func(o *Options) {
		o.Status = func(context.Context) (*wire.Status, error) { return nil, fmt.Errorf("connection refused") }
	})
	wantFinding(t, r, "group", "status", Fault, "has the directory open, but the node does not answer: connection refused", "--admin")
	r = examine(t, dir, func(o *Options) {
		o.Status = func(ctx context.Context) (*wire.Status, error) {
			s, err := n.status(ctx)
			if err == nil {
				s.Node = "n7"
			}
			return s, err
		}
	})
	wantFinding(t, r, "group", "status", Fault, "node n7 answers, and the data directory is that of node n1")
	r = examine(t, dir, func(o *Options) {
		o.Status = func(ctx context.Context) (*wire.Status, error) {
			s, err := n.status(ctx)
			if err == nil {
				s.Quorum, s.Problems = false, []string{"something"}
				s.Nodes[0].Quarantine = &wire.Quarantine{Cause: "diverged", Text: "it differs"}
			}
			return s, err
		}
	})
	wantFinding(t, r, "group", "quorum", Fault, "nothing can be recorded")
	wantFinding(t, r, "group", "node", Fault, "out of service (diverged): it differs", "node resync n1")
	wantFinding(t, r, "group", "problems", Warning, "something")
}

// TestDamagedDisk: whatever is damaged is named, with a way out, and nothing is changed.
func TestDamagedDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	startNode(t, dir).stop()
	log := filepath.Join(dir, "raft.db")
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"empty": func([]byte) []byte { return nil }, "torn": func(b []byte) []byte { return b[:len(b)/2-100] }, "no database": func(b []byte) []byte { return make([]byte, len(b)) },
		"meta page": func(b []byte) []byte { b[4096+40] ^= 1; b[40] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			write(log, damage(slices.Clone(whole)))
			before := fingerprint(t, dir)
			r := examine(t, dir, func(o *Options) { o.Areas = []string{"data"} })
			wantFinding(t, r, "data", "content", Fault, "raft.db", "join token")
			wantUntouched(t, dir, before)
		})
	}
	write(log, whole)
	id := filepath.Join(dir, "node.json")
	sound, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sound {
		b := slices.Clone(sound)
		b[i] ^= 4
		write(id, b)
		r := examine(t, dir, func(o *Options) { o.Areas = []string{"data"} })
		if r.Count(Fault) == 0 {
			t.Fatalf("node.json with byte %d changed:\n%s", i, dump(r))
		}
	}
	if err := os.Remove(id); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, examine(t, dir, nil), "data", "content", Fault, "node.json is damaged: it is missing")
	write(id, sound)
	if err := os.RemoveAll(filepath.Join(dir, "tls")); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, examine(t, dir, nil), "data", "certificate", Fault, "the certificate of node n1 is not in", "--tls-dir")
}

// appendEntry puts an entry behind the log of a node that does not run.
func appendEntry(t *testing.T, dir string, kind byte, payload string) {
	t.Helper()
	d, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	last, err := d.Log().LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var before raft.Log
	if err := d.Log().GetLog(last, &before); err != nil {
		t.Fatal(err)
	}
	b := append([]byte{1, kind, 0, 0, 0, 0}, binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))...)
	b = append(b, payload...)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[2:], crc32.Update(crc32.Checksum(b[:2], table), table, b[6:]))
	if err := d.Log().StoreLog(&raft.Log{Index: last + 1, Term: before.Term, Type: raft.LogCommand, Data: b}); err != nil {
		t.Fatal(err)
	}
}

// TestDiskOfANewerVersion: entries that this program must not skip, a schema that it does not know, and a format of a later version.
func TestDiskOfANewerVersion(t *testing.T) {
	for name, do := range map[string]func(dir string){
		"kind":   func(dir string) { appendEntry(t, dir, 120, "{}") },
		"schema": func(dir string) { appendEntry(t, dir, 40, `{"to":99,"node":"n1"}`) },
		"format": func(dir string) {
			path := filepath.Join(dir, "node.json")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(strings.Replace(string(b), `"format": 1`, `"format": 7`, 1)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			startNode(t, dir).stop()
			do(dir)
			before := fingerprint(t, dir)
			r := examine(t, dir, nil)
			check := "content"
			if name == "format" {
				check = "identity"
			}
			wantFinding(t, r, "data", check, Fault, "install")
			wantUntouched(t, dir, before)
		})
	}
}

// TestNodeThatIsOut: one that was removed or replaced has noted so.
func TestNodeThatIsOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	startNode(t, dir).stop()
	d, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	note, _ := json.Marshal(map[string]any{"reason": "this node was removed from its group", "at": time.Now()})
	if err := d.Stable().Set([]byte("HoldfastExpelled"), note); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, examine(t, dir, nil), "data", "membership", Fault, "out of its group for good since ", "this node was removed from its group", "join token")
}

// TestWrongDirectory: what a node would refuse before it reads anything.
func TestWrongDirectory(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, examine(t, file, nil), "data", "directory", Fault, "is no directory")
	open := filepath.Join(root, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, examine(t, open, nil), "data", "directory", Fault, "by everybody", "chmod 0700")
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	r := examine(t, open, nil)
	wantFinding(t, r, "data", "directory", Warning, "is open to others", "chmod 0700")
	wantFinding(t, r, "data", "identity", OK, "belongs to no node yet")

	dir := filepath.Join(root, "data")
	startNode(t, dir).stop()
	r = examine(t, dir, func(o *Options) { o.Config.Name, o.NameGiven, o.Config.Group = "n2", true, "shop" })
	wantFinding(t, r, "data", "identity", Fault, "is that of node n1, not of n2", "--name n1")
	wantFinding(t, r, "data", "group", Fault, "group holdfast, not of shop", "--group holdfast")
}

// TestCertificateThatIsOver, or not yet in force, by this machine's clock.
func TestCertificateThatIsOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	startNode(t, dir).stop()
	for days, want := range map[int]struct {
		s     State
		words string
	}{-30: {Fault, "set this machine's clock"}, 3640: {Warning, "is over on"}, 3700: {Fault, "has been over since"}} {
		r := examine(t, dir, func(o *Options) { o.now = func() time.Time { return time.Now().AddDate(0, 0, days) } })
		wantFinding(t, r, "data", "certificate", want.s, want.words)
	}
}

// TestPortsAndAddresses: ports that somebody has, addresses that this machine lacks, names that nobody knows, nodes that do not answer.
func TestPortsAndAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuses := gone.Addr().String()
	gone.Close()
	dir := filepath.Join(t.TempDir(), "data")
	r := examine(t, dir, func(o *Options) {
		o.Config.PeerAddr, o.Config.AdminAddr = l.Addr().String(), "192.0.2.77:7700"
		o.Config.Advertise = "no-such-host.invalid:7701"
		o.Config.Join = []string{refuses, l.Addr().String()}
		o.Config.VIPs = []string{"192.0.2.100/24@hfnone9"}
	})
	wantFinding(t, r, "net", "ports", Fault, "the peer port "+l.Addr().String()+" cannot be had", "ss -lntp sport = :", "--peer-addr")
	wantFinding(t, r, "net", "ports", Fault, "192.0.2.77:7700 cannot be had", "this machine has no such address", "--admin-addr")
	wantFinding(t, r, "net", "advertise", Fault, "no-such-host.invalid", "DNS")
	wantFinding(t, r, "net", "peers", Warning, refuses+" does not answer yet", "start the node there")
	wantFinding(t, r, "address", "interfaces", Fault, "there is no interface hfnone9", "ip -br link")

	r = examine(t, dir, func(o *Options) { o.Config.Advertise, o.Config.Discover = "192.0.2.1:7701", "multicast@hfnone9" })
	wantFinding(t, r, "net", "advertise", Warning, "no address of this machine")
	wantFinding(t, r, "net", "multicast", Fault, "no interface that is meant by")
	r = examine(t, dir, func(o *Options) {
		o.Config.Timing, o.Config.PeerAddr, o.Areas = "soon", "nowhere", []string{"settings"}
	})
	wantFinding(t, r, "settings", "settings", Fault, "--timing")
	wantFinding(t, r, "settings", "settings", Fault, "--peer-addr")
	for _, f := range r.Findings {
		if f.Area != "settings" {
			t.Errorf("an area that nobody asked for: %+v", f)
		}
	}
}

// TestProgramsAndBackups: what the node is to run and where it is to write.
func TestProgramsAndBackups(t *testing.T) {
	root := t.TempDir()
	hook := filepath.Join(root, "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(to string) *Report {
		return examine(t, filepath.Join(root, "data"), func(o *Options) { o.Config.VIPHook, o.Config.BackupTo, o.Areas = hook, to, []string{"settings"} })
	}
	wantFinding(t, look(root), "settings", "vip-hook", Fault, "cannot be executed", "chmod 0755")
	wantFinding(t, look(root), "settings", "backup-to", OK, "can be written to")
	wantFinding(t, look(hook), "settings", "backup-to", Fault, "is no directory")
	wantFinding(t, look(filepath.Join(root, "mount")), "settings", "backup-to", Fault, "no such file", "mount")
	wantFinding(t, look("s3://backups/shop"), "settings", "backup-to", Skipped, "holdfast backup create --to s3://backups/shop")
	for mode, want := range map[fs.FileMode]State{0o777: Warning, 0o755: OK} {
		if err := os.Chmod(hook, mode); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, look(root), "settings", "vip-hook", want, hook)
	}
}

func TestUnknown(t *testing.T) {
	if a := Unknown([]string{"data", "soul"}); a != "soul" || Unknown(Areas) != "" || Unknown(nil) != "" {
		t.Errorf("%q", a)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 KiB", 5 << 20: "5 MiB", 3 << 29: "1.5 GiB", math.MaxUint64: "17179869184.0 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
