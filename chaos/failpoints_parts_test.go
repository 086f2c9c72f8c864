package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/internal/s3test"
)

// killLog: whoever writes next, the leader or a follower, dies.
func (c *crash) killLog() {
	for _, p := range []failpoint.Point{failpoint.AppendBegin, failpoint.AppendDone} {
		for range 2 {
			c.nodeDies(p, func() {})
		}
	}
}

// snapshots has a node write a snapshot, and let the log behind it go.
func (c *crash) snapshot(n *group.Node) {
	_, _ = c.try("", "backup", "create", "--admin", n.Admin, "--to", filepath.Join(c.dir, "snapshot.hfb"), "--timeout", "10s") // the node may die of it
}

func (c *crash) killSnapshot() {
	for range 3 { // so that there are old ones
		for _, n := range c.s.Group.Nodes {
			c.snapshot(n)
		}
		c.during(func() {})
	}
	for i, p := range []failpoint.Point{
		failpoint.SnapshotBegin, failpoint.SnapshotCreated, failpoint.SnapshotWriting, failpoint.SnapshotWritten, failpoint.SnapshotNamed, failpoint.FileWritten, failpoint.FileSynced, failpoint.FileNamed,
		failpoint.SnapshotSummed, failpoint.SnapshotPruning, failpoint.SnapshotPruned, failpoint.SnapshotDone,
		failpoint.CompactBegin, failpoint.CompactDeclared, failpoint.CompactDeleted, failpoint.CompactSealed, failpoint.CompactDone,
		failpoint.RewriteBegin, failpoint.RewriteCopied, failpoint.RewriteNamed, failpoint.RewriteDone,
	} {
		n := c.s.Group.Nodes[i%len(c.s.Group.Nodes)]
		c.nodeDies(p, func() { c.snapshot(n) })
		c.snapshot(n)
	}
}

// killBackup: a backup that was killed has left no archive but a whole one.
func (c *crash) killBackup() {
	dir := filepath.Join(c.dir, "backups")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	admin := c.s.Group.Nodes[1].Admin
	c.must("backup", "create", "--admin", admin, "--to", dir)
	for _, p := range []failpoint.Point{failpoint.ArchiveCreated, failpoint.ArchiveWritten, failpoint.ArchiveSynced, failpoint.ArchiveNamed, failpoint.ArchiveDone, failpoint.ArchivePruned} {
		before := len(archivesIn(c.T, dir))
		c.during(func() { c.dies(p, "backup", "create", "--admin", admin, "--to", dir, "--keep", "1") })
		list := archivesIn(c.T, dir)
		named := p == failpoint.ArchiveNamed || p == failpoint.ArchiveDone
		if named != (len(list) == before+1) {
			c.Errorf("%s: %d archives, then %d", p, before, len(list))
		}
		c.must(append([]string{"backup", "verify"}, list...)...)
		c.again("backup", "create", "--admin", admin, "--to", dir, "--keep", "1") // in the next second: two of one index and one second would have one name
		if list := archivesIn(c.T, dir); len(list) != 1 {
			c.Errorf("%s: %v", p, list)
		}
		c.during(func() {}) // so that the next one is another one
	}
}

// store is where uploads go.
var store *s3test.Server

func (c *crash) storeEnv() []string {
	if store == nil {
		return nil
	}
	return []string{"AWS_ACCESS_KEY_ID=" + s3test.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3test.SecretKey, "AWS_ENDPOINT_URL_S3=" + store.URL, "AWS_REGION=us-east-1"}
}

func (c *crash) killUpload() {
	store = s3test.New()
	defer func() { store.Close(); store = nil }()
	admin := c.s.Group.Nodes[2].Admin
	for _, p := range []failpoint.Point{failpoint.UploadBegun, failpoint.UploadPart, failpoint.UploadParts, failpoint.UploadNamed, failpoint.UploadChecked} {
		before := len(store.Keys())
		c.during(func() { c.dies(p, "backup", "create", "--admin", admin, "--to", "s3://"+s3test.Bucket+"/shop") })
		named := p == failpoint.UploadNamed || p == failpoint.UploadChecked
		if now := len(store.Keys()); named != (now == before+1) {
			c.Errorf("%s: %d archives, then %d", p, before, now)
		}
		c.during(func() {})
		c.again("backup", "create", "--admin", admin, "--to", "s3://"+s3test.Bucket+"/shop")
		for _, key := range store.Keys() {
			c.must("backup", "verify", "s3://"+s3test.Bucket+"/"+key)
		}
		c.during(func() {}) // so that the next one is another one
	}
}

// killRegroup: the archive has all sessions, so that none may be missing whether it takes force or not.
func (c *crash) killRegroup() {
	for i, p := range []failpoint.Point{failpoint.RegroupBegin, failpoint.RegroupBegun, failpoint.RegroupPart, failpoint.RegroupStaged, failpoint.RegroupApplied, failpoint.RegroupDone, failpoint.RegroupApplied} {
		n := c.s.Group.Nodes[i%len(c.s.Group.Nodes)]
		c.during(func() {})
		file := filepath.Join(c.dir, "all.hfb")
		c.must("backup", "create", "--admin", n.Admin, "--to", file)
		before := c.epoch()
		c.arm(c.nodes, p)
		var command sync.WaitGroup
		command.Go(func() {
			_, _ = c.try("", "backup", "restore", file, "--into-group", "--accept-loss", "--admin", n.Admin)
		}) // it waits for all nodes, if the node that it asked lives
		c.restart(c.dead(p))
		command.Wait()
		c.whole()
		switch now := c.epoch(); {
		case now > before+1, now != before && (p == failpoint.RegroupBegin || p == failpoint.RegroupBegun || p == failpoint.RegroupPart || p == failpoint.RegroupStaged),
			now == before && (p == failpoint.RegroupApplied || p == failpoint.RegroupDone):
			c.Errorf("%s: epoch %d, then %d", p, before, now)
		}
		c.again("backup", "restore", file, "--into-group", "--accept-loss", "--admin", n.Admin, "--reason", string(p))
		c.whole()
	}
}

func (c *crash) epoch() uint32 {
	c.Helper()
	status, err := c.s.Group.Nodes[0].Client.Status(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	return status.Group.Epoch
}

func (c *crash) killResync() {
	for i, p := range []failpoint.Point{
		failpoint.DemoteBegin, failpoint.DemoteDone, failpoint.ResyncBegin, failpoint.ResyncMarked, failpoint.DropLog, failpoint.DropRenamed, failpoint.DropSnapshot, failpoint.DropDone,
		failpoint.ResyncDropped, failpoint.ResyncReturned, failpoint.ResyncDone,
	} {
		n := c.s.Group.Nodes[i%len(c.s.Group.Nodes)]
		c.nodeDies(p, func() {
			_, _ = c.try("", "node", "resync", n.Name, "--no-wait", "--admin", c.s.Group.Other(n).Admin, "--timeout", "10s")
		})
		c.again("node", "resync", n.Name, "--admin", c.s.Group.Other(n).Admin)
		c.whole()
	}
}

// killMembership: a node is removed and comes in again as a new one; in each round somebody dies at a step of both.
func (c *crash) killMembership() {
	removing := []failpoint.Point{failpoint.RemoveBegin, failpoint.RemoveDone, failpoint.RemoveTold, failpoint.RemoveNoted, failpoint.RemoveRevoked, "", ""}
	joining := []failpoint.Point{failpoint.JoinCertificate, failpoint.JoinIdentity, failpoint.JoinAdmitted, failpoint.AddBegin, failpoint.AddDone, failpoint.VoteBegin, failpoint.VoteDone}
	for i := range removing {
		n := c.s.Group.Nodes[i%len(c.s.Group.Nodes)]
		// A node that was removed finishes what its clients' connections bring, by what it knew: it knows nothing of the sessions that others have begun meanwhile.
		c.beside(0, func() { c.remove(n, removing[i]); c.rejoin(n, joining[i]) })
	}
}

// remove takes a node out, and waits until it has ended for good.
func (c *crash) remove(n *group.Node, p failpoint.Point) {
	c.Helper()
	other := c.s.Group.Other(n)
	if p != "" {
		c.arm(c.nodes, p)
	}
	again := func() error { // until it is no member any more
		out, err := c.try("", "node", "remove", n.Name, "--force", "--admin", other.Admin, "--timeout", "10s")
		if err != nil && !strings.Contains(out, "no member") && !strings.Contains(out, "no node") {
			return errors.New(out)
		}
		return nil
	}
	err := again()
	if p == "" && err != nil {
		c.Fatal(err)
	}
	if p != "" {
		gone := c.dead(p)
		c.restart(gone)
		limited, cancel := context.WithTimeout(c.ctx, settleTime)
		defer cancel()
		if err := proc.Poll(limited, 100*time.Millisecond, again); err != nil {
			c.Fatalf("%s: %v", p, err)
		}
	}
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	endsRefused(c.T, limited, n) // it says why: TestMembership
}

// rejoin lets a node in again on an empty directory.
func (c *crash) rejoin(n *group.Node, p failpoint.Point) {
	c.Helper()
	if err := os.RemoveAll(n.DataDir); err != nil {
		c.Fatal(err)
	}
	c.arm(c.nodes, p)
	c.restart(n)
	c.restart(c.dead(p))
}

// killPromote: a standby's archive is promoted on the side. The group goes on meanwhile: it is forced, and to a moment, for a promotion to the end tells the old nodes that they are of the past.
func (c *crash) killPromote() {
	standby := filepath.Join(c.dir, "standby")
	path, err := failing()
	if err != nil {
		c.Fatal(err)
	}
	var from []string
	for _, n := range c.s.Group.Nodes {
		from = append(from, n.Admin)
	}
	p, err := proc.Start(proc.Spec{Name: "standby", Path: path, Args: []string{"standby", "run", "--from", strings.Join(from, ","), "--archive", standby}, Log: filepath.Join(c.dir, "standby.log")})
	if err != nil {
		c.Fatal(err)
	}
	defer p.Kill()
	defer func() {
		if c.Failed() {
			c.Log(p.Tail(20, func(string) bool { return false }))
		}
	}()
	c.during(func() {})
	proven(c.T, c.ctx, standby, time.Now())
	if err := p.Stop(c.ctx); err != nil {
		c.Fatal(err)
	}
	for _, p := range []failpoint.Point{
		failpoint.PromoteBegin, failpoint.PromoteNoted, failpoint.FoundOpened, failpoint.FileWritten, failpoint.FoundIdentity, failpoint.FoundTerm, failpoint.SnapshotNamed, failpoint.FoundSnapshot,
		failpoint.FoundCertificate, failpoint.PromoteDone,
	} {
		data := filepath.Join(c.dir, "promoted-"+string(p))
		args := []string{"promote", "--archive", standby, "--data-dir", data, "--name", "p1", "--force", "--at", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
		c.dies(p, args...)
		c.startsWholeOrNot(string(p), data, "p1")
		if err := os.RemoveAll(data); err != nil {
			c.Fatal(err)
		}
		c.must(args...)
		c.startsWhole(string(p), data, "p1")
	}
}

// killOffline: all nodes are stopped. A restore into a new directory, and a recovery from what one node has, die at each step.
func (c *crash) killOffline() {
	archive, epoch := filepath.Join(c.dir, "last.hfb"), fmt.Sprint(c.epoch())
	c.must("backup", "create", "--admin", c.s.Group.Nodes[0].Admin, "--to", archive)
	for _, n := range c.s.Group.Nodes {
		n.Kill()
	}
	for _, p := range []failpoint.Point{failpoint.FoundOpened, failpoint.FileNamed, failpoint.FoundIdentity, failpoint.FoundTerm, failpoint.SnapshotWriting, failpoint.FoundSnapshot, failpoint.FoundCertificate} {
		data := filepath.Join(c.dir, "restored-"+string(p))
		args := []string{"backup", "restore", archive, "--data-dir", data, "--name", "r1"}
		c.dies(p, args...)
		c.startsWholeOrNot(string(p), data, "r1")
		if err := os.RemoveAll(data); err != nil {
			c.Fatal(err)
		}
		c.must(args...)
		c.startsWhole(string(p), data, "r1")
	}
	for _, p := range []failpoint.Point{
		failpoint.FoundOpened, failpoint.FileWritten, failpoint.FoundIdentity, failpoint.FoundFormer, failpoint.FoundTerm, failpoint.SnapshotSummed, failpoint.FoundSnapshot, failpoint.FoundCertificate,
		failpoint.RecoverMade, failpoint.RecoverExchanged,
	} {
		data := filepath.Join(c.dir, "recovered-"+string(p))
		if err := os.CopyFS(data, os.DirFS(c.s.Group.Nodes[0].DataDir)); err != nil {
			c.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(data, "tls"), 0o700); err != nil {
			c.Fatal(err)
		}
		args := []string{"recover", "--data-dir", data, "--accept-loss"}
		c.dies(p, args...)
		switch out, err := c.try("", args...); {
		case p == failpoint.RecoverExchanged && err == nil, p != failpoint.RecoverExchanged && err != nil:
			c.Errorf("%s: once more: %v\n%s", p, err, out)
		}
		c.startsWhole(string(p), data, c.s.Group.Nodes[0].Name)
		if _, err := os.Stat(data + ".epoch-" + epoch); err != nil {
			c.Errorf("%s: what was there is not kept: %v", p, err)
		}
	}
}

// startsWhole: the one node of the directory serves, with every session that clients know.
func (c *crash) startsWhole(what, data, name string) {
	c.Helper()
	if !c.serves(what, data, name) {
		c.Errorf("%s: the node does not serve\n%s", what, c.sideLog(what))
	}
}

// startsWholeOrNot: a directory that is not finished is refused; a node that serves from it has everything.
func (c *crash) startsWholeOrNot(what, data, name string) { c.serves(what+"-killed", data, name) }

// serves starts a node on the side and tells whether it serves; one that does has every session.
func (c *crash) serves(what, data, name string) bool {
	c.Helper()
	path, err := failing()
	if err != nil {
		c.Fatal(err)
	}
	ports, err := proc.Ports(2, "127.0.0.9")
	if err != nil {
		c.Fatal(err)
	}
	peer, admin := net.JoinHostPort("127.0.0.9", strconv.Itoa(ports[0])), net.JoinHostPort("127.0.0.9", strconv.Itoa(ports[1]))
	p, err := proc.Start(proc.Spec{Name: what, Path: path, Log: filepath.Join(c.dir, what+".log"),
		Args: []string{"serve", "--name", name, "--data-dir", data, "--peer-addr", peer, "--admin-addr", admin, "--bind-address", "127.0.0.9", "--timing", "fast"}})
	if err != nil {
		c.Fatal(err)
	}
	defer p.Kill()
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	err = proc.Poll(limited, 10*time.Millisecond, func() error {
		if !p.Alive() {
			return nil
		}
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err != nil || !p.Alive() {
		return false
	}
	c.holdSide(what, "http://"+admin)
	return true
}

// holdSide holds the table of a node on the side against the ledger.
func (c *crash) holdSide(what, admin string) {
	c.Helper()
	api, err := client.New(client.Options{URLs: []string{admin}})
	if err != nil {
		c.Fatal(err)
	}
	defer api.Close()
	table := map[string]ledger.Place{}
	for s, err := range api.AllSessions(c.ctx, client.SessionFilter{Limit: 1000}, client.Stale()) {
		if err != nil {
			c.Fatal(err)
		}
		table[s.Key] = ledger.Place{Cluster: s.Cluster, Instance: s.Instance}
	}
	if lacks := c.l.Ledger.Lacks(table); lacks > 0 || len(table) == 0 {
		c.Errorf("%s: %d of %d sessions are missing", what, lacks, c.l.Ledger.Len())
	}
}

func (c *crash) sideLog(what string) string {
	b, _ := os.ReadFile(filepath.Join(c.dir, what+".log"))
	return string(b)
}
