package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// Promotion says what a group begins again with, and where.
type Promotion struct {
	Restoration
	// Archive is the directory of a standby.
	Archive string
	// At is the moment to go back to; the zero value is the end of the archive.
	At Moment
	// Force has the archive promoted although it was promoted before.
	Force bool
}

// PromotionReport says what the group has begun again with.
type PromotionReport struct {
	ReplayReport
	// GroupTime is the replicated time of the last entry that was recovered; the header's is that of the new epoch.
	GroupTime time.Time
	// Silent is when the standby lost the group, by the clock of its machine; zero when it does not know: it was stopped before that.
	Silent time.Time
	// Away is of how many values of the store the archive has the names alone (copies: 2): nobody has their bytes, unless an old node's copies are put beside the new one.
	Away int
}

// promotedFile is a note in an archive that it was promoted.
const promotedFile = "promoted.json"

// promoted is that note.
type promoted struct {
	GroupID string    `json:"groupId"`
	Epoch   uint32    `json:"epoch"` // the one that began
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"`
	DataDir string    `json:"dataDir"`
}

func readPromoted(dir string) (promoted, error) {
	var p promoted
	b, err := os.ReadFile(filepath.Join(dir, promotedFile))
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, fmt.Errorf("%s cannot be read, so it is not known whether the archive was promoted before: %w", promotedFile, err)
	}
	return p, nil
}

// Promote makes the data directory of a group's first node from the archive of a standby: the state as of a moment, in a later epoch than any before. After an error the
// directory is as it was. Whether the old group is gone is for OldGroup to say. Unless a moment is chosen its nodes are told that they are of the past when they come back, at the addresses that they had.
func Promote(p Promotion) (report PromotionReport, err error) {
	made, err := p.prepare()
	if err != nil {
		return report, err
	}
	lock, err := archive.Lock(p.Archive)
	var inUse *archive.InUseError
	if errors.As(err, &inUse) {
		return report, fmt.Errorf("%w: %w: stop the standby first", ErrRefused, err)
	}
	if err != nil {
		return report, err
	}
	defer lock.Close()
	before, err := readPromoted(p.Archive)
	if err != nil && !p.Force {
		return report, err
	}
	state, replayed, err := ReplayArchive(p.Archive, p.At)
	report.ReplayReport, report.GroupTime = replayed, replayed.Header.GroupTime
	if err != nil {
		return report, err
	}
	h := replayed.Header
	_, named, lost := state.StoreHoldings()
	report.Away = named - lost
	taken := max(knownEpoch(p.Archive, h.GroupID), h.Epoch)
	if p.At != (Moment{}) { // the log behind the moment may have begun another one
		if end, _, _ := ReplayArchive(p.Archive, Moment{}); end != nil { // when something behind the moment is damaged, what is good counts
			taken = max(taken, end.Group().Epoch)
		}
	}
	if before.GroupID == h.GroupID && before.Epoch > replayed.LogEpoch && !p.Force {
		return report, fmt.Errorf("%w: this archive was promoted already, at %s into %s: epoch %d began there. If that group is gone for good, promote it once more with --force: then epoch %d begins",
			ErrRefused, before.Time.Format(time.RFC3339), before.DataDir, before.Epoch, taken+1)
	}
	begin := fsm.Beginning{Taken: taken, Line: newLine(), At: p.Now(), Kind: fsm.EventPromoted, Actor: p.Actor, Node: p.Name, Text: p.eventText(replayed) + awayText(report.Away)}
	if err := state.Begin(begin); err != nil {
		return report, err
	}
	if p.At == (Moment{}) { // who goes back to a moment looks at it, perhaps beside the group that lives
		for _, m := range h.Members {
			p.former = append(p.former, raftnode.ImageMember(m))
		}
	}
	failpoint.Hit(failpoint.PromoteBegin)
	// The note comes first: a promotion that is killed counts as one, so that no two groups ever have one epoch.
	note := promoted{GroupID: h.GroupID, Epoch: state.Group().Epoch, Index: h.Index, Time: p.Now().UTC(), DataDir: p.DataDir}
	if err := writePromoted(p.Archive, note); err != nil {
		return report, fmt.Errorf("note the promotion in the archive: %w", err)
	}
	failpoint.Hit(failpoint.PromoteNoted)
	if report.BackupReport, err = p.found(state, replayed.BackupReport, made); err != nil {
		return report, errors.Join(err, writePromoted(p.Archive, before))
	}
	failpoint.Hit(failpoint.PromoteDone)
	if st, err := ReadStandbyStatus(p.Archive); err == nil && !st.Following && !st.Silent.Before(st.Heard) {
		report.Silent = st.Silent
	}
	return report, nil
}

// knownEpoch is the latest epoch of the group that a directory of archives knows: of its states and of its log, of the standby that wrote it, and of a promotion. 0: none. What cannot be read is passed over.
func knownEpoch(dir, group string) (epoch uint32) {
	states, _ := archive.List(dir)
	for _, e := range states {
		if e.Header.GroupID == group {
			epoch = max(epoch, e.Header.Epoch)
		}
	}
	segments, _ := archive.ListSegments(dir)
	for _, s := range segments {
		if s.Head.GroupID == group {
			epoch = max(epoch, s.Head.Epoch)
		}
	}
	if st, err := ReadStandbyStatus(dir); err == nil && st.GroupID == group {
		epoch = max(epoch, st.Epoch)
	}
	if p, err := readPromoted(dir); err == nil && p.GroupID == group {
		epoch = max(epoch, p.Epoch)
	}
	return epoch
}

// eventText says who has begun the group again, from what, up to where, and what may be lost.
func (p *Promotion) eventText(r ReplayReport) string {
	h := r.Header
	text := fmt.Sprintf("promoted from %s by %s, with node %s: %s and %d entries behind it, up to index %d of epoch %d, state of %s, %d sessions", cmp.Or(p.Source, filepath.Base(p.Archive)), cmp.Or(p.Actor, "somebody"), p.Name,
		filepath.Base(r.Base), r.Entries, h.Index, h.Epoch, h.GroupTime.UTC().Format(time.RFC3339Nano), r.Sessions)
	switch {
	case p.At != Moment{}:
		return text + "; this moment was chosen: what the group has acknowledged after it is not there"
	case r.Proven.IsZero():
		return text + "; what may be lost is not known: no node has proven that the archive had everything"
	}
	return text + fmt.Sprintf("; what was acknowledged before %s (clock of %s) is there, what came later may be lost", r.Proven.UTC().Format(time.RFC3339Nano), r.ProvenBy)
}

// awayText says that an archive lacks values.
func awayText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; of %d values of the store the archive has the names alone (copies: 2)", n)
}

// writePromoted writes the note, durably; an empty one is none.
func writePromoted(dir string, p promoted) error {
	path := filepath.Join(dir, promotedFile)
	if p.Epoch == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	f, err := archive.Create(dir)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(append(b, '\n')); err != nil {
		return err
	}
	return f.Commit(path, true)
}

// askTimeout is how long a node of the old group has to show that it lives.
const askTimeout = 1500 * time.Millisecond

// OldGroup asks whether the group that an archive was following still lives: at the admin addresses of the standby, and at the peer addresses of the members. It gives what
// answered; none does not mean that none lives.
func OldGroup(ctx context.Context, dir string) (answers []string, err error) {
	r, err := archive.OpenReplay(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	ask := func(what string, alive func() bool) {
		all.Go(func() {
			if alive() {
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, what)
			}
		})
	}
	if st, err := ReadStandbyStatus(dir); err == nil {
		for _, base := range st.From {
			ask("a node answers at the admin address "+base, func() bool { return healthy(ctx, base) })
		}
	}
	if len(r.Bases) > 0 {
		for _, m := range r.Bases[len(r.Bases)-1].Header.Members {
			ask(fmt.Sprintf("node %s takes connections at %s", m.Name, m.Addr), func() bool { return dialable(ctx, m.Addr) })
		}
	}
	all.Wait()
	slices.Sort(answers)
	return answers, nil
}

func healthy(ctx context.Context, base string) bool {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/healthz", nil)
	if err != nil {
		return false
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

func dialable(ctx context.Context, addr string) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
