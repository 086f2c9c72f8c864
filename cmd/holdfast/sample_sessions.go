package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// sampleBatch is how many sessions go into one entry: far below what fits.
const sampleBatch = 100_000

// newSampleSessionsCommand makes a large archive of a small one; the disaster drill restores it into its group.
func newSampleSessionsCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:     "sample-sessions ARCHIVE OUT",
		Short:   "Add sessions to an archive that nobody has",
		Long:    "Write an archive with the state of another one and so many sessions more, which no client has, spread over the configured instances. For drills with a large state.",
		Example: "  holdfast sample-sessions small.hfb large.hfb --count 1000000",
		Hidden:  true,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 {
				return usagef(cmd, "--count %d: want at least one", count)
			}
			if err := addSampleSessions(args[0], args[1], count); err != nil {
				return fmt.Errorf("add sessions to %s: %w", args[0], err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&count, "count", 1_000_000, "`NUMBER` of sessions to add")
	return cmd
}

func addSampleSessions(from, to string, count int) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := archive.NewReader(in)
	if err != nil {
		return err
	}
	defer r.Close()
	state := fsm.New()
	if err := state.Restore(r); err != nil {
		return err
	}
	if err := assignSamples(state, count); err != nil {
		return err
	}
	h := r.Header()
	h.Index, h.Confirmed, h.GroupTime, h.Created = state.Applied(), state.Applied(), state.Now(), time.Now().UTC().Truncate(time.Millisecond)
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w, err := archive.NewWriter(out, h)
	if err != nil {
		return err
	}
	snap := state.Snapshot()
	defer snap.Release()
	if _, err := snap.WriteTo(w); err != nil {
		return err
	}
	return w.Close()
}

// assignSamples adds sessions to a state as a log would.
func assignSamples(state *fsm.State, count int) error {
	var ids []fsm.InstanceID
	c := state.Operating().Config
	for i := range c.Clusters {
		for j := range c.Clusters[i].Instances {
			if id, ok := state.InstanceID(c.Clusters[i].Name, c.Clusters[i].Instances[j].Name); ok {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return errors.New("no instance is configured in it")
	}
	ops := make([]fsm.SessionOp, 0, sampleBatch)
	for n := range count {
		op := fsm.SessionOp{Kind: fsm.OpAssign, Instance: ids[n%len(ids)], Reason: fsm.ReasonPolicy}
		binary.LittleEndian.PutUint64(op.Key[:], uint64(n+1)*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(op.Key[8:], uint64(n+1)*0xd1b54a32d192ed03)
		if ops = append(ops, op); len(ops) < sampleBatch && n < count-1 {
			continue
		}
		res, err := state.Apply(state.Applied()+1, fsm.EncodeSessions(state.Now(), ops))
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(res.Sessions, func(s fsm.SessionResult) bool { return s.Code != fsm.CodeOK }); i >= 0 {
			return fmt.Errorf("session %d: refused with code %d", n-len(ops)+1+i, res.Sessions[i].Code)
		}
		ops = ops[:0]
	}
	return nil
}
