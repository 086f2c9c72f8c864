package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

func memberFaults() []*Fault {
	return []*Fault{
		{Name: "resync", Kind: OnNode, Planned: true, Rows: []int{14, 27}, Holds: true, Takes: true, About: "an operator has the node drop its state and take a new copy", inject: resync},
		{Name: "remove", Kind: OnNode, Planned: true, Rows: []int{14, 22}, Holds: true, Takes: true, Ends: true,
			About: "the node is removed from the group; when it comes back from its disk it has to end, and is let in as a new one", inject: remove},
		{Name: "wipe", Kind: OnNode, Rows: []int{13, 22}, Holds: true, Takes: true, About: "the node is killed and its disk is lost; healed by a start with an empty one", inject: wipe},
		{Name: "corrupt", Kind: OnNode, Rows: []int{11, 13}, Holds: true, Takes: true, Ends: true, Measure: Count, Amounts: []Amount{1, 16, 256},
			About: "the node is killed, so many bytes of its log's entries are changed, and it is started; healed by an empty disk when it has refused", inject: corrupt},
		{Name: "corrupt-snapshot", Kind: OnNode, Rows: []int{12}, Holds: true, Takes: true, Ends: true, Measure: Count, Amounts: []Amount{1, 16},
			About: "the same with a snapshot of its state, which it writes just before", inject: corruptSnapshot},
		{Name: "corrupt-identity", Kind: OnNode, Rows: []int{13}, Holds: true, Takes: true, Ends: true, Measure: Count, Amounts: []Amount{1, 16},
			About: "the same with the file that says which node it is", inject: corruptIdentity},
		{Name: "transfer", Kind: OnNode, Planned: true, Rows: []int{25}, About: "an operator has the leadership go to the node", inject: transfer},
		{Name: "evacuate", Kind: OnNode, Planned: true, Rows: []int{25}, About: "an operator evacuates the node; healed by undoing that", inject: evacuate},
	}
}

// askTime bounds what an operator waits for the group to do something while other faults go on.
const askTime = 15 * time.Second

// asked lets an operator do something, again and again while the group refuses or nobody answers.
func (f *Field) asked(ctx context.Context, do func(ctx context.Context, c *client.Client) error) error {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return f.insist(limited, do)
}

// insist does so as long as ctx lets it: a heal has to be done, however long other faults keep the group from it.
func (f *Field) insist(ctx context.Context, do func(ctx context.Context, c *client.Client) error) error {
	return insistBy(ctx, f.Stage.Group.Operator(), do)
}

func insistBy(ctx context.Context, by *group.Operator, do func(ctx context.Context, c *client.Client) error) error {
	c := by.Client()
	defer c.Close()
	return proc.Poll(ctx, 200*time.Millisecond, func() error { return do(ctx, c) })
}

// undoTime bounds how long it takes to undo what was asked for, and perhaps done, without an answer.
const undoTime = 2 * time.Minute

// undone undoes such a thing, also when the run was interrupted.
func undone(ctx context.Context, back Heal) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return back(limited)
}

// voteTime bounds how long a node may take to vote again after its heal. It votes after ten quiet seconds, and other faults
// go on meanwhile: this is longer than any scenario goes on with them.
const voteTime = 5 * time.Minute

// votes waits until a node serves and votes.
func votes(ctx context.Context, f *Field, n *group.Node) error {
	limited, cancel := context.WithTimeout(ctx, voteTime)
	defer cancel()
	return proc.Poll(limited, 100*time.Millisecond, func() error {
		if !n.Alive() {
			return fmt.Errorf("node %s has ended", n.Name)
		}
		for _, other := range f.Stage.Group.Nodes {
			if other == n || !other.Alive() {
				continue
			}
			status, err := other.Client.Status(limited)
			if err != nil {
				continue
			}
			for _, s := range status.Nodes {
				if s.Name == n.Name && s.Voter && s.Ready {
					return nil
				}
			}
		}
		return fmt.Errorf("node %s has no vote", n.Name)
	})
}

func resync(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	err = f.asked(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.ResyncNode(ctx, n.Name)
		return err
	})
	if err != nil {
		doubt()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer doubt()
		return votes(ctx, f, n)
	}, nil
}

// empty starts a node anew with an empty disk, and waits until it votes.
func empty(f *Field, n *group.Node, over ...func()) Heal {
	return func(ctx context.Context) error {
		n.Kill()
		err := os.RemoveAll(n.DataDir)
		if err == nil {
			err = n.Start()
		}
		if err == nil {
			err = votes(ctx, f, n)
		}
		for _, o := range over {
			o()
		}
		return err
	}
}

func remove(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	if err := votes(ctx, f, n); err != nil { // what has not come in cannot be put out
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	undo := func() { over(); doubt() }
	err = f.asked(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.RemoveNode(ctx, n.Name, true)
		var problem *client.Problem
		if errors.As(err, &problem) && problem.Code == "not-found" {
			return nil // an attempt without an answer has done it
		}
		return err
	})
	if err != nil {
		// It may have been removed all the same; a start with an empty disk is right in both cases.
		return nil, errors.Join(err, empty(f, n, undo)(ctx))
	}
	anew := empty(f, n, undo)
	return func(ctx context.Context) error {
		var wrong error
		if !n.Alive() { // one that nobody reaches may not have heard of it yet
			wrong = endedFor(n, "its removal", refuses)
		}
		return errors.Join(wrong, f.staysOut(ctx, n), anew(ctx))
	}, nil
}

// staysOut starts a node that was removed once more on the disk that it had: it has to end, with the exit status for that (docs/OPERATING.md).
func (f *Field) staysOut(ctx context.Context, n *group.Node) error {
	n.Kill()
	if err := n.Start(); err != nil {
		return err
	}
	if err := endsItself(ctx, n, "its removal"); err != nil {
		return err
	}
	f.Witness.Say(n.Name, n.Name+" came back from its disk, and ended: it was removed")
	return nil
}

// endsItself waits until a node that was started on a disk which the group has left behind has refused that.
func endsItself(ctx context.Context, n *group.Node, reason string) error {
	limited, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	select {
	case <-n.Process().Done():
		return endedFor(n, reason, refuses)
	case <-limited.Done():
		n.Kill()
		return brokenIf(ctx, fmt.Errorf("node %s was to end because of %s, and went on for %v\n%s", n.Name, reason, stopTime, n.Process().Tail(10, nil)))
	}
}

func wipe(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	n.Kill()
	return empty(f, n, over, doubt), nil
}

func corrupt(ctx context.Context, f *Field, o Order) (Heal, error) {
	return damage(ctx, f, o, logFile, nil)
}

func corruptSnapshot(ctx context.Context, f *Field, o Order) (Heal, error) {
	return damage(ctx, f, o, "snapshots", writeSnapshot)
}

func corruptIdentity(ctx context.Context, f *Field, o Order) (Heal, error) {
	return damage(ctx, f, o, "node.json", nil)
}

// writeSnapshot has a node write a snapshot of its state, as each does for a backup that it is asked for: by itself it writes none as long as its log is short.
func writeSnapshot(ctx context.Context, n *group.Node) error {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return proc.Poll(limited, 200*time.Millisecond, func() error {
		b, err := n.Client.Backup(limited)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, b)
		return errors.Join(err, b.Close())
	})
}

// damage changes bytes of a file at a place below the data directory of a killed node, and starts it. What has to be before the kill is done by prepare, if that is not nil. Where there is no file nothing is damaged, and
// that is an error.
func damage(ctx context.Context, f *Field, o Order, place string, prepare func(context.Context, *group.Node) error) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	if err := votes(ctx, f, n); err != nil {
		return nil, err
	}
	if prepare != nil {
		if err := prepare(ctx, n); err != nil {
			return nil, err
		}
	}
	if len(filesBelow(filepath.Join(n.DataDir, place))) == 0 { // before the kill: else half a fault would count for none
		return nil, fmt.Errorf("there is no file to damage at %s", place)
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	n.Kill()
	changed, err := changeFile(n.DataDir, place, o)
	said := sizeOf(n.Process().LogPath())
	if err == nil {
		err = n.Start()
	}
	if err != nil {
		return nil, errors.Join(err, startAgain(n, over, doubt)(ctx))
	}
	f.Witness.Say(n.Name, fmt.Sprintf("%s of %s was damaged", changed, n.Name))
	return func(ctx context.Context) error {
		alive, cancel := whileAlive(ctx, n) // it may find the damage at once, or later
		defer cancel()
		err := votes(alive, f, n)
		if !n.Alive() {
			f.Witness.Say(n.Name, n.Name+" has refused its damaged disk: it gets an empty one")
			return errors.Join(endedFor(n, "its damaged disk", refuses, doubts), empty(f, n, over, doubt)(ctx))
		}
		over()
		doubt()
		if err == nil && !saysDamage(n.Process().LogPath(), said) {
			return fmt.Errorf("%w: %s goes on, and has not noticed the damage", ErrNothing, n.Name)
		}
		return err
	}, nil
}

// sizeOf is the size of a file, 0 for none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// saysDamage says whether a node's log has anything about damage behind a place.
func saysDamage(path string, behind int64) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	text, _ := io.ReadAll(io.NewSectionReader(file, behind, 64*mebibyte)) // what cannot be read says nothing
	return bytes.Contains(text, []byte(" is damaged: "))                  // docs/OPERATIONS.md
}

// endedFor says what is wrong with how a node has ended that was to end for a reason: with one of these exit statuses, and not by a crash.
func endedFor(n *group.Node, reason string, statuses ...int) error {
	err := n.Process().Err()
	if slices.Contains(statuses, status(err)) {
		return nil
	}
	return fmt.Errorf("%w: node %s was to end because of %s with exit status %v: %v\n%s", ErrBroken, n.Name, reason, statuses, err, n.Process().Tail(10, nil))
}

// changeFile changes bytes of one of the files at a place below a data directory, and names it by its path there.
func changeFile(dir, place string, o Order) (name string, err error) {
	files := filesBelow(filepath.Join(dir, place))
	if len(files) == 0 {
		return "", fmt.Errorf("there is no file to damage at %s", place)
	}
	path := files[o.Random.IntN(len(files))]
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	places := []span{{0, len(data)}}
	if place == logFile {
		if places, err = entriesOf(data); err != nil {
			return "", err
		}
	}
	if err := changeBytes(path, data, places, int(o.Amount), o); err != nil {
		return "", err
	}
	return filepath.Rel(dir, path)
}

func filesBelow(dir string) (files []string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return nil // what cannot be read cannot be damaged
	})
	return files
}

// changeBytes changes so many bytes of a file, or as many as there are, at drawn places; each once, so that none is changed back.
func changeBytes(path string, data []byte, places []span, n int, o Order) error {
	total := 0
	for _, s := range places {
		total += s.size
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	changed := map[int]bool{}
	for err == nil && len(changed) < min(n, total) {
		at := placeOf(places, o.Random.IntN(total))
		b := data[at] ^ byte(1+o.Random.IntN(255))
		if !changed[at] {
			_, err = file.WriteAt([]byte{b}, int64(at))
		}
		changed[at] = true
	}
	return errors.Join(err, file.Close())
}

func transfer(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	c := f.Stage.Group.Operator().Client()
	defer c.Close()
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if f.leader(limited) == n.Name {
		return nil, fmt.Errorf("node %s leads already", n.Name)
	}
	if _, err := c.Transfer(limited, n.Name); err != nil { // a refusal is an answer, too
		return nil, fmt.Errorf("the leadership does not go to %s: %w", n.Name, err)
	}
	return func(context.Context) error { return nil }, nil
}

func evacuate(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	back := func(ctx context.Context) error {
		return f.insist(ctx, func(ctx context.Context, c *client.Client) error {
			err := c.EndEvacuation(ctx, n.Name)
			var problem *client.Problem
			if errors.As(err, &problem) && problem.Code == "not-found" {
				return nil
			}
			return err
		})
	}
	err = f.asked(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.Evacuate(ctx, n.Name, "chaos")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, undone(ctx, back)) // an attempt without an answer may have done it
	}
	return back, nil
}
