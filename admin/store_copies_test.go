package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// fakeCopies keeps values in memory.
type fakeCopies struct {
	node   *fakeNode
	kept   map[[32]byte][]byte
	putErr error
	getErr error
	old    int    // so many promises are too old
	puts   int    // how often Put was called
	read   func() // called before a value is given
}

func (c *fakeCopies) Put(_ context.Context, _ fsm.StoreKey, data []byte) (fsm.Copy, time.Time, error) {
	c.puts++
	if c.putErr != nil {
		return fsm.Copy{}, time.Time{}, c.putErr
	}
	of := fsm.Copy{Hash: sha256.Sum256(data), Size: uint32(len(data)), Holders: []string{"n1/a", "n2/b"}}
	c.kept[of.Hash] = bytes.Clone(data)
	taken := c.node.now
	if c.old > 0 {
		c.old--
		taken = taken.Add(-time.Hour)
	}
	return of, taken, nil
}

func (c *fakeCopies) Get(_ context.Context, of *fsm.Copy) ([]byte, error) {
	if read := c.read; read != nil {
		c.read = nil
		read()
	}
	data, ok := c.kept[of.Hash]
	if c.getErr != nil || !ok {
		return nil, fmt.Errorf("%w: %w", admin.ErrCopiesAway, errors.Join(c.getErr, errors.New("nobody has it")))
	}
	return data, nil
}

// copiesRig is an API whose group has a module with copies: 2, id 1.
func copiesRig(t *testing.T) (*rig, *fakeCopies) {
	t.Helper()
	r := newRig(t)
	c, err := config.Parse("", []byte(strings.Replace(storeConfig, "maxValue: 1KiB, maxBytes: 4KiB", "copies: 2, maxValue: 8KiB, maxBytes: 64KiB", 1)))
	if err != nil {
		t.Fatal(err)
	}
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if res := r.node.apply(t, &fsm.ConfigChange{Config: c}); res.Code != fsm.CodeOK {
		t.Fatal(res)
	}
	r.node.view.left = map[fsm.Subject]int{{Cluster: "cluster1", ContextRoot: "/fortune"}: 1}
	copies := &fakeCopies{node: r.node, kept: map[[32]byte][]byte{}}
	r.node.copies = copies
	r.api = newAPI(t, r.node, r.log)
	return r, copies
}

var big = strings.Repeat("x", 5000)

// TestStoreBesideTheLog: TC-28. What is large goes to two nodes and its name into the log; calls and answers are those of any value.
func TestStoreBesideTheLog(t *testing.T) {
	r, copies := copiesRig(t)
	w := wantStatus(t, r.app("PUT", keyPath+"a", big, header{"Content-Type", "text/plain"}, header{"If-None-Match", "*"}), 201)
	c := last[*fsm.StoreCopy](t, r.node)
	if c.If != fsm.IfAbsent || c.Type != "text/plain" || c.Size != 5000 || len(c.Holders) != 2 {
		t.Errorf("%+v", c)
	}
	got := wantStatus(t, r.app("GET", keyPath+"a", ""), 200)
	if got.Body.String() != big || got.Header().Get("ETag") != w.Header().Get("ETag") || got.Header().Get("Content-Type") != "text/plain" {
		t.Errorf("%d bytes, %v", got.Body.Len(), got.Header())
	}
	copies.getErr = errors.New("silent")
	if w := r.app("GET", keyPath+"a", "", header{"If-None-Match", got.Header().Get("ETag")}); w.Code != http.StatusNotModified {
		t.Errorf("%d: who has the value needs no bytes", w.Code)
	}
	copies.getErr = nil
	wantProblem(t, r.app("PUT", keyPath+"a", big, header{"If-None-Match", "*"}), 412, wire.CodePreconditionFailed)
	wantStatus(t, r.app("PUT", keyPath+"small", strings.Repeat("x", 1024)), 201)
	if put := last[*fsm.StorePut](t, r.node); len(put.Data) != 1024 {
		t.Errorf("%+v", put)
	}
	wantProblem(t, r.app("PUT", keyPath+"a", strings.Repeat("x", 8193)), 413, wire.CodeValueTooLarge)
	list := wantStatus(t, r.app("GET", "/v1/kv/cluster1?values=true", ""), 200)
	if !strings.Contains(list.Body.String(), `"bytes":5000`) || list.Body.Len() < 5000 {
		t.Errorf("%.300s", list.Body)
	}
	wantStatus(t, r.app("DELETE", keyPath+"a", ""), 204)
	wantProblem(t, r.app("GET", keyPath+"a", ""), 404, wire.CodeNotFound)
}

// TestStoreBesideTheLogRefuses: what is going to be refused takes no room on any disk; a write that is sent again is answered as it was, though it would be refused now.
func TestStoreBesideTheLogRefuses(t *testing.T) {
	r, copies := copiesRig(t)
	once := []header{{"Idempotency-Key", "once"}, {"If-None-Match", "*"}}
	first := wantStatus(t, r.app("PUT", keyPath+"a", big, once...), 201)
	copies.puts = 0
	if w := r.app("PUT", keyPath+"a", big, once...); w.Code >= 300 || w.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Errorf("sent again: %d %s", w.Code, w.Body)
	}
	wantProblem(t, r.app("PUT", keyPath+"a", big+"1", header{"If-None-Match", "*"}), 412, wire.CodePreconditionFailed)
	if w := r.app("PUT", keyPath+"a", big+"2", header{"If-Match", `"1"`}); w.Code != 412 || w.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	wantProblem(t, r.app("PUT", keyPath+"b", big, header{"If-Match", "*"}), 412, wire.CodePreconditionFailed)
	if copies.puts != 0 {
		t.Errorf("nodes were asked %d times to keep what is refused", copies.puts)
	}
	most := 0
	for ; r.app("PUT", fmt.Sprint(keyPath, "k", most), strings.Repeat("y", 8000)).Code == 201; most++ {
	}
	copies.puts = 0
	wantProblem(t, r.app("PUT", keyPath+"more", strings.Repeat("y", 8000)), 507, wire.CodeStoreFull)
	if copies.puts != 0 || most < 5 {
		t.Errorf("nodes were asked %d times to keep what a full module must not write, behind %d values", copies.puts, most)
	}
}

// TestStoreBesideTheLogPatches: TC-38. A delta is made to the bytes, wherever they are, and the value goes on with its type and its time.
func TestStoreBesideTheLogPatches(t *testing.T) {
	r, _ := copiesRig(t)
	text := `{"a":1,"b":"` + big + `"}`
	wantStatus(t, r.app("PUT", keyPath+"j?ttlSeconds=600", text, header{"Content-Type", "application/json"}), 201)
	wantStatus(t, r.app("PATCH", keyPath+"j", `{"a":2}`), 204)
	if c := last[*fsm.StoreCopy](t, r.node); c.TTL != 10*time.Minute || c.If != fsm.IfVersion {
		t.Errorf("%+v", c)
	}
	if w := wantStatus(t, r.app("GET", keyPath+"j", ""), 200); w.Body.String() != `{"a":2,"b":"`+big+`"}` || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%.40s", w.Body)
	}
	wantStatus(t, r.app("PATCH", keyPath+"j", `{"b":null}`), 204) // it is small now
	if w := wantStatus(t, r.app("GET", keyPath+"j", ""), 200); w.Body.String() != `{"a":2}` || r.node.state.Stored(fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: "j"}).Copy != nil {
		t.Errorf("%s", w.Body)
	}
	wantStatus(t, r.app("PATCH", keyPath+"j", `{"b":"`+big+`"}`), 204)
	if c := last[*fsm.StoreCopy](t, r.node); c.Size < 5000 {
		t.Errorf("%+v", c)
	}
	again := header{"Idempotency-Key", "once"}
	first := wantStatus(t, r.app("PATCH", keyPath+"j", `{"c":1}`, again), 204)
	if w := wantStatus(t, r.app("PATCH", keyPath+"j", `{"c":1}`, again), 204); w.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Error("a patch that was sent again was made again")
	}
}

// TestStoreBesideTheLogTroubles: who cannot keep or give a value says so, and nothing is half done.
func TestStoreBesideTheLogTroubles(t *testing.T) {
	r, copies := copiesRig(t)
	key := fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: "a"}
	copies.putErr = fmt.Errorf("%w: disks", admin.ErrCopiesFull)
	wantProblem(t, r.app("PUT", keyPath+"a", big), 507, wire.CodeStoreFull)
	copies.putErr = fmt.Errorf("%w: two of three", admin.ErrCopiesAway)
	wantProblem(t, r.app("PUT", keyPath+"a", big), 503, wire.CodeValueAway)
	if r.node.state.Stored(key) != nil {
		t.Fatal("it was stored")
	}
	copies.putErr = nil
	// A promise that has become too old is asked for again, and given up in the end.
	copies.old, copies.puts = 2, 0
	wantStatus(t, r.app("PUT", keyPath+"a", big), 201)
	if copies.puts != 3 {
		t.Errorf("%d promises", copies.puts)
	}
	copies.old = 100
	if w := r.app("PUT", keyPath+"a", big+"2"); w.Code < 400 {
		t.Errorf("%d", w.Code)
	}
	copies.old = 0
	// Nobody gives it now.
	copies.getErr = errors.New("silent")
	wantProblem(t, r.app("GET", keyPath+"a", ""), 503, wire.CodeValueAway)
	wantProblem(t, r.app("GET", keyPath+"a?consistency=stale", ""), 503, wire.CodeValueAway)
	wantProblem(t, r.app("GET", "/v1/kv/cluster1?values=true", ""), 503, wire.CodeValueAway)
	copies.getErr = nil
	// It is replaced while it is read: the next one is the answer.
	was := *r.node.state.Stored(key).Copy
	copies.read = func() {
		delete(copies.kept, was.Hash)
		wantStatus(t, r.app("PUT", keyPath+"a", big+"new"), 204)
	}
	if w := wantStatus(t, r.app("GET", keyPath+"a", ""), 200); w.Body.String() != big+"new" {
		t.Errorf("%d bytes", w.Body.Len())
	}
	// It is lost.
	r.node.mu.Lock()
	r.node.apply(t, &fsm.StoreHolders{Moves: []fsm.StoreMove{{StoreKey: key, Version: r.node.state.Stored(key).Version}}})
	r.node.mu.Unlock()
	wantProblem(t, r.app("GET", keyPath+"a", ""), 404, wire.CodeValueLost)
	wantStatus(t, r.app("PUT", keyPath+"a", big, header{"If-None-Match", "*"}), 201)
	wantStatus(t, r.app("GET", keyPath+"a", ""), 200)
	r.node.lost.Store(true)
	copies.puts = 0
	if w := r.app("PUT", keyPath+"a", big); w.Code != 503 && w.Code != 504 {
		t.Errorf("%d", w.Code)
	}
	if copies.puts != 0 {
		t.Error("nodes were asked to keep what cannot be written")
	}
}
