package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/operate"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

func groupFaults() []*Fault {
	return []*Fault{
		{Name: "kill-all", Kind: OnGroup, Rows: []int{1, 6, 26}, Holds: true, About: "SIGKILL of all nodes at once; healed by starting them", inject: killAll},
		{Name: "reconfigure", Kind: OnGroup, Rows: []int{49}, About: "an operator changes weights and policies of a cluster; healed by taking that back", inject: reconfigure},
		{Name: "quiesce", Kind: OnGroup, Rows: []int{49}, About: "an operator disables an instance; healed by enabling it", inject: quiesce},
		{Name: "backup", Kind: OnGroup, Rows: []int{49}, About: "an operator takes a backup of the whole state, which is verified", inject: backup},
		{Name: "switch-over", Kind: OnGroup, Only: Loopback, Rows: []int{23}, Holds: true, Takes: true,
			About: "a standby follows the group; healed by stopping all nodes, whose disks are lost, and promoting the standby", inject: switchOver},
		{Name: "disaster", Kind: OnGroup, Only: Loopback, Rows: []int{14, 23}, Holds: true, Takes: true,
			About: "the same without a plan: all nodes are killed at once, and the standby is promoted; an old node that comes back from its disk has to end", inject: disaster},
		{Name: "disaster-behind", Kind: OnGroup, Only: Loopback, Rows: []int{14, 23}, Holds: true, Takes: true, Measure: Duration, Amounts: []Amount{0.3, 1},
			About: "the same, and the standby had died so long before: what came then is lost, and that is said", inject: disaster},
		{Name: "lost-majority", Kind: OnGroup, Rows: []int{14, 24}, Holds: true, Takes: true, Needs: needsOthers,
			About: "all nodes but one are killed, and do not come back; healed by 'recover' of that one; an old node that comes back from its disk has to end", inject: lostMajority},
	}
}

func killAll(_ context.Context, f *Field, _ Order) (Heal, error) {
	doubt := f.Ledger.Doubt()
	var heals []Heal
	for _, n := range f.Stage.Group.Nodes {
		heals = append(heals, startAgain(n, f.Absent(n.Name)))
	}
	_ = f.Stage.Group.Each(func(n *group.Node) error { n.Kill(); return nil })
	return func(ctx context.Context) error {
		defer doubt()
		var errs []error
		for _, h := range heals {
			errs = append(errs, h(ctx))
		}
		return errors.Join(errs...)
	}, nil
}

// Edit has an operator make one change, again and again for a while until the group takes it; wait lets each attempt wait until every node obeys it. It says whether all do.
func (f *Field) Edit(ctx context.Context, wait time.Duration, edits ...operate.Edit) (byAll bool, err error) {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return f.change(limited, wait, edits...)
}

// EditFrom is Edit by an operator who asks the node at a position first: one that has no majority is to refuse, also where others would do it.
func (f *Field) EditFrom(ctx context.Context, first int, edits ...operate.Edit) error {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := f.changeBy(limited, f.Stage.Group.OperatorFrom(first), 0, edits...)
	return err
}

// change does so as long as ctx lets it.
func (f *Field) change(ctx context.Context, wait time.Duration, edits ...operate.Edit) (byAll bool, err error) {
	return f.changeBy(ctx, f.Stage.Group.Operator(), wait, edits...)
}

func (f *Field) changeBy(ctx context.Context, by *group.Operator, wait time.Duration, edits ...operate.Edit) (byAll bool, err error) {
	text, err := json.Marshal(map[string]any{"edits": edits, "message": "chaos"})
	if err != nil {
		return false, err
	}
	var e client.Edits
	if err := json.Unmarshal(text, &e); err != nil {
		return false, err
	}
	err = insistBy(ctx, by, func(ctx context.Context, c *client.Client) error {
		sent := time.Now()
		r, err := c.EditConfig(ctx, e, client.ChangeOptions{Wait: wait})
		f.Witness.Changed(sent, r, err)
		byAll = err == nil && r.AppliedBy == "all"
		return err
	})
	return byAll, err
}

func reconfigure(ctx context.Context, f *Field, o Order) (Heal, error) {
	kinds := []string{stage.Insert.Name, stage.Learn.Name, stage.Plain.Name}
	cluster := kinds[o.Random.IntN(len(kinds))]
	in := f.Stage.Instances[o.Random.IntN(len(f.Stage.Instances))]
	policies := []string{"weighted-round-robin", "least-sessions", "least-requests", "power-of-two", "peak-ewma"}
	policy, weight := policies[o.Random.IntN(len(policies))], 2+o.Random.IntN(9)
	change := func(policy string, weight int) []operate.Edit {
		return []operate.Edit{
			{Op: "set", Kind: "cluster", Name: cluster, Values: map[string]any{"policy": policy}},
			{Op: "set", Kind: "instance", Cluster: cluster, Name: in.Name, Values: map[string]any{"weight": weight}},
		}
	}
	back := func(ctx context.Context) error {
		_, err := f.change(ctx, 0, change("round-robin", 1)...)
		return err
	}
	if _, err := f.Edit(ctx, 0, change(policy, weight)...); err != nil {
		return nil, errors.Join(err, undone(ctx, back)) // an attempt without an answer may have done it
	}
	f.Witness.Say(cluster, fmt.Sprintf("cluster %s goes by %s, %s in it has the weight %d", cluster, policy, in.Name, weight))
	return back, nil
}

// quiesce disables one instance in all clusters. Its sessions may leave when the quiesce is over, not before.
func quiesce(ctx context.Context, f *Field, o Order) (Heal, error) {
	in := f.Stage.Instances[o.Random.IntN(len(f.Stage.Instances))]
	release, err := f.claim("quiesce", "instances as operators see them") // so that one is always there
	if err != nil {
		return nil, err
	}
	clusters := []string{stage.Insert.Name, stage.Learn.Name, stage.Plain.Name}
	edits := func(op string) (list []operate.Edit) {
		for _, cluster := range clusters {
			list = append(list, operate.Edit{Op: op, Kind: "instance", Cluster: cluster, Name: in.Name})
		}
		return list
	}
	// Its end counts from when the change is committed, which may be any time from now on: what is waited for after that is no part of it.
	over := background(func(ctx context.Context) error {
		if err := pause(ctx, f.Quiesce); err != nil {
			return err
		}
		hurt := f.Ledger.Hurt(in.Name)
		defer hurt()
		<-ctx.Done()
		return nil
	}, nil)
	back := func(ctx context.Context) error {
		defer release()
		for _, cluster := range clusters {
			f.Witness.Enabling(cluster, in.Name)
		}
		_, err := f.change(ctx, 0, edits("enable")...)
		return errors.Join(err, over(ctx))
	}
	for _, cluster := range clusters {
		f.Witness.Disabling(cluster, in.Name)
	}
	byAll, err := f.Edit(ctx, obeyTime, edits("disable")...)
	if err != nil {
		return nil, errors.Join(err, undone(ctx, back)) // an attempt without an answer may have done it
	}
	text := in.Name + " quiesces for " + f.Quiesce.String()
	if byAll {
		for _, cluster := range clusters {
			f.Witness.Quiescing(cluster, in.Name)
		}
		text += ", and every node obeys"
	}
	f.Witness.Say(in.Name, text)
	return back, nil
}

// obeyTime is how long an operator waits for every node; some may be down.
const obeyTime = 3 * time.Second

func backup(ctx context.Context, f *Field, _ Order) (Heal, error) {
	dir, err := os.MkdirTemp(f.Stage.Dir, "backup-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "state.hfb")
	err = f.asked(ctx, func(ctx context.Context, c *client.Client) error {
		b, err := c.Backup(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }()
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, b)
		return errors.Join(err, file.Close())
	})
	if err == nil {
		err = f.verify(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return func(context.Context) error { return os.RemoveAll(dir) }, nil
}

// verify reads a backup back, and tells of it. The error is for what kept it from being read: that says nothing of the backup.
func (f *Field) verify(ctx context.Context, path string) error {
	arguments := []string{"backup", "verify", "-o", "json", path}
	text, said, err := f.output(ctx, arguments...)
	if err != nil {
		err = fmt.Errorf("holdfast %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	switch {
	case err == nil:
		f.Witness.Say("", "a backup was taken and verified")
	case damaged(ctx, text, err):
		f.Witness.Say("", "a backup was taken that cannot be read back: "+err.Error())
	default:
		return err
	}
	f.Witness.BackedUp(err)
	return nil
}

// damaged says whether 'backup verify' has come to its end and found an archive that is not what it should be: it has failed, and its answer says so. What could not read it, was killed or could not be started has found nothing.
func damaged(ctx context.Context, text []byte, err error) bool {
	var ended *exec.ExitError
	var answer struct{ Archives []struct{ Damaged bool } }
	if ctx.Err() != nil || !errors.As(err, &ended) || ended.ExitCode() != 1 || json.Unmarshal(text, &answer) != nil {
		return false
	}
	return slices.ContainsFunc(answer.Archives, func(a struct{ Damaged bool }) bool { return a.Damaged })
}

// run runs the program; what it prints on standard output is decoded as JSON into out, if that is not nil.
func (f *Field) run(ctx context.Context, out any, arguments ...string) error {
	text, said, err := f.output(ctx, arguments...)
	if err != nil {
		return fmt.Errorf("holdfast %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// output runs the program, and gives what it prints and what it says on standard error.
func (f *Field) output(ctx context.Context, arguments ...string) (text []byte, said string, err error) {
	cmd := exec.CommandContext(ctx, f.Stage.Binary(), arguments...)
	cmd.Env = append(os.Environ(), f.Stage.Env()...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err = cmd.Output()
	return text, strings.TrimSpace(stderr.String()), err
}

// switchOver starts a standby. Its heal is the planned promotion: the nodes stop one after the other, the last one gives the standby everything, and the new epoch begins with an empty
// disk on each of them.
func switchOver(ctx context.Context, f *Field, _ Order) (Heal, error) {
	archive, standby, err := f.follow(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer standby.Kill()
		return f.promote(ctx, archive, standby)
	}, nil
}

// follow starts a standby, and waits until it follows the group.
func (f *Field) follow(ctx context.Context) (archive string, standby *proc.Process, err error) {
	archive = filepath.Join(f.Stage.Dir, fmt.Sprintf("archive-%d", time.Now().UnixNano()))
	var admins []string
	for _, n := range f.Stage.Group.Nodes {
		admins = append(admins, n.Admin)
	}
	standby, err = f.Stage.Start(proc.Spec{
		Name: "standby", Path: f.Stage.Binary(), Args: []string{"standby", "run", "--from", strings.Join(admins, ","), "--archive", archive}, Log: filepath.Join(f.Stage.Dir, "standby.log"),
		Env: f.Stage.Env(),
	})
	if err != nil {
		return "", nil, err
	}
	if err := f.standby(ctx, archive, func(s standbyStatus) bool { return s.Following && !s.Proven.IsZero() }); err != nil {
		standby.Kill()
		return "", nil, err
	}
	f.Witness.Say("standby", "a standby follows the group")
	return archive, standby, nil
}

// standbyStatus is what 'standby status -o json' prints.
type standbyStatus struct {
	Following      bool
	Proven, Silent time.Time
}

// standby waits until the standby says what is wanted.
func (f *Field) standby(ctx context.Context, archive string, want func(standbyStatus) bool) error {
	limited, cancel := context.WithTimeout(ctx, 2*askTime)
	defer cancel()
	return proc.Poll(limited, 100*time.Millisecond, func() error {
		var s standbyStatus
		if err := f.run(limited, &s, "standby", "status", "--archive", archive, "-o", "json"); err != nil {
			return err
		}
		if !want(s) {
			return fmt.Errorf("the standby says %+v", s)
		}
		return nil
	})
}

func (f *Field) promote(ctx context.Context, archive string, standby *proc.Process) error {
	defer f.Ledger.Doubt()()
	nodes := f.Stage.Group.Nodes
	if err := f.ends(ctx); err != nil {
		return err
	}
	for _, n := range nodes {
		defer f.Absent(n.Name)()
	}
	for _, n := range nodes {
		if err := end(ctx, n); err != nil {
			return err
		}
	}
	f.Witness.Say("", "all nodes are stopped and their disks lost; the standby is promoted")
	for _, n := range nodes {
		if err := os.RemoveAll(n.DataDir); err != nil {
			return err
		}
	}
	if err := f.standby(ctx, archive, func(s standbyStatus) bool { return !s.Following && !s.Silent.IsZero() }); err != nil {
		return err
	}
	if err := standby.Stop(ctx); err != nil {
		return err
	}
	if _, err := f.begin(ctx, archive, nodes[0]); err != nil {
		return err
	}
	return f.grow(ctx, nodes[0])
}

// ends tells the witness which epoch is about to end.
func (f *Field) ends(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, voteTime)
	defer cancel()
	return f.insist(limited, func(ctx context.Context, c *client.Client) error {
		status, err := c.Status(ctx)
		if err == nil {
			f.Witness.Promoting(status.Group.Epoch)
		}
		return err
	})
}

// promotion is what 'promote -o json' prints.
type promotion struct {
	Epoch, Index   uint64
	Sessions       int
	Proven, Silent time.Time
}

// begin makes the first node's data directory of an archive.
func (f *Field) begin(ctx context.Context, archive string, first *group.Node) (p promotion, err error) {
	err = f.unanswered(ctx, func() error {
		return f.run(ctx, &p, "promote", "--archive", archive, "--data-dir", first.DataDir, "--name", first.Name, "-o", "json")
	})
	if err == nil {
		f.Witness.Say("", fmt.Sprintf("epoch %d begins after index %d", p.Epoch, p.Index))
	}
	return p, err
}

// unanswered does what is refused as long as somebody takes connections where the old nodes were; a relay may need a moment to see that nobody does.
func (f *Field) unanswered(ctx context.Context, do func() error) error {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return proc.Poll(limited, 200*time.Millisecond, do)
}

// grow starts the first node of a new epoch, and the others with the empty disks that they have by now, until all vote.
func (f *Field) grow(ctx context.Context, first *group.Node) error {
	nodes := append([]*group.Node{first}, f.Stage.Group.Nodes...)
	for _, n := range nodes {
		if n.Alive() {
			continue
		}
		if err := n.Start(); err != nil {
			return err
		}
	}
	for _, n := range nodes[1:] {
		if n == first {
			continue
		}
		if err := votes(ctx, f, n); err != nil {
			return err
		}
	}
	return nil
}
