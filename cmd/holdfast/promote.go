package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// moment is the value of --at.
type moment server.Moment

// String implements pflag.Value.
func (m *moment) String() string {
	switch {
	case m.Index > 0:
		return strconv.FormatUint(m.Index, 10)
	case !m.Time.IsZero():
		return m.Time.Format(time.RFC3339Nano)
	}
	return ""
}

// Set implements pflag.Value.
func (m *moment) Set(text string) error {
	if index, err := strconv.ParseUint(text, 10, 64); err == nil && index > 0 {
		*m = moment{Index: index}
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("%q is neither a log index nor a time like 2026-03-01T12:00:00Z", text)
	}
	*m = moment{Time: t}
	return nil
}

// Type implements pflag.Value.
func (m *moment) Type() string { return "moment" }

// promotion is what 'promote' was asked for.
type promotion struct {
	archive string
	at      moment
	force   bool
	serve   bool
	config  server.Config
}

func newPromoteCommand(g *globals) *cobra.Command {
	p := promotion{config: server.Defaults()}
	p.config.Version, p.config.DataDir, p.config.Name = version, "", ""
	var nodeFile string
	cmd := &cobra.Command{
		Use:   "promote --archive DIR --data-dir DIR --name NODE",
		Short: "Turn a standby's archive into a group",
		Long: `Begin the group again from the archive of a standby, when all its nodes are gone: verify the archive, build the state, raise the epoch and write the data directory of the first node.
Then 'holdfast serve' with that directory and name brings the group up, alone; with --serve this command does so itself, with the flags of 'serve' (--vip, --dns-addr, --peer-addr, ...).
Further nodes join as usual.

It is refused while anything answers at the addresses of the old group. With --force it is not: then make sure by other means that the old nodes do not serve. The old epoch never wins
again: cookies from before still lead to their instances, and mend what the archive misses.

It prints what was recovered and the loss bound: everything that was acknowledged before that time is there. Quiesces, schedules and workflows go on.

--at goes back to an earlier moment that the archive has: a log index, or a time.`,
		Example: `  holdfast promote --archive /var/lib/holdfast-standby --data-dir /var/lib/holdfast --name n1
  holdfast promote --archive /var/lib/holdfast-standby --data-dir /var/lib/holdfast --name n1 --serve --vip 10.0.0.100/24@eth0
  holdfast promote --archive /var/lib/holdfast-standby --data-dir /tmp/then --name n1 --at 2026-03-01T12:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			self := handoff.Program{Path: ownPath(), Args: serveArgs(cmd.Flags())} // what settle adds, another process finds by itself
			if err := settle(cmd.Flags(), nodeFile, os.LookupEnv); err != nil {
				return usageError(err)
			}
			if p.archive == "" || p.config.Name == "" || p.config.DataDir == "" {
				return usagef(cmd, "name the archive, the data directory to make and the node: --archive DIR --data-dir DIR --name NODE")
			}
			if p.serve {
				if err := p.config.Validate(); err != nil {
					return usageError(err)
				}
				if err := inherit(nil, &p.config); err != nil {
					return err
				}
				p.config.Self = self
			}
			return g.promote(cmd.Context(), p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.archive, "archive", "", "`DIR` of the standby's archive")
	f.Var(&p.at, "at", "go back to this log `INDEX` or TIME (RFC 3339)")
	f.BoolVar(&p.force, "force", false, "although the old group answers, or the archive was promoted before")
	f.BoolVar(&p.serve, "serve", false, "serve at once, with the other flags as 'holdfast serve' has them")
	nodeFlags(f, &p.config, &nodeFile)
	g.outputFlag(f)
	return cmd
}

// serveArgs are those with which 'holdfast serve' goes on where a command line of promote has begun: for the program that takes over from this process.
func serveArgs(f *pflag.FlagSet) []string {
	args := []string{"serve"}
	known := newServeCommand().Flags()
	f.Visit(func(f *pflag.Flag) {
		if known.Lookup(f.Name) == nil {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	return args
}

func (g *globals) promote(ctx context.Context, p promotion) error {
	began := time.Now()
	answers, err := server.OldGroup(ctx, p.archive)
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if len(answers) > 0 && !p.force {
		return fmt.Errorf("promote: %w: the old group may still live: %s. Two groups would serve two truths: stop the old nodes, or promote with --force when you are sure that they do not serve",
			errRefused, strings.Join(answers, "; "))
	}
	for _, a := range answers {
		fmt.Fprintf(g.err, "forced although %s\n", clean(a))
	}
	report, err := server.Promote(server.Promotion{
		Restoration: server.Restoration{DataDir: p.config.DataDir, TLSDir: p.config.TLSDir, Name: p.config.Name, Actor: operatorName(), Source: "the standby's archive " + p.archive}, Archive: p.archive, At: server.Moment(p.at), Force: p.force,
	})
	for _, passed := range report.Passed {
		fmt.Fprintf(g.err, "passed over: %s\n", clean(passed.Error()))
	}
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if err := g.writePromoted(p, report, time.Since(began)); err != nil || !p.serve {
		return err
	}
	return runNode(ctx, p.config)
}

// replayView is a state out of a standby's archive as -o json shows it.
type replayView struct {
	Group      string    `json:"group"`
	GroupID    string    `json:"groupId"`
	Epoch      uint32    `json:"epoch"`
	Index      uint64    `json:"index"`
	GroupTime  time.Time `json:"groupTime"`
	Sessions   int       `json:"sessions"`
	Revision   uint64    `json:"revision"`
	Digest     string    `json:"digest"`
	Base       string    `json:"base"`
	Entries    uint64    `json:"entries"`
	Proven     time.Time `json:"proven,omitzero"`
	ProvenBy   string    `json:"provenBy,omitempty"`
	Torn       bool      `json:"torn,omitempty"`
	PassedOver []string  `json:"passedOver,omitempty"`
}

func replayViewOf(r server.ReplayReport) replayView {
	h := r.Header
	v := replayView{Group: h.GroupName, GroupID: h.GroupID, Epoch: h.Epoch, Index: h.Index, GroupTime: h.GroupTime, Sessions: r.Sessions, Revision: r.Revision, Digest: r.Digest.String(),
		Base: r.Base, Entries: r.Entries, Proven: r.Proven, ProvenBy: r.ProvenBy, Torn: r.Torn}
	for _, err := range r.Passed {
		v.PassedOver = append(v.PassedOver, err.Error())
	}
	return v
}

// promotedView is a promotion as -o json shows it.
type promotedView struct {
	replayView
	// Silent is when the standby lost the group, by its machine's clock; LossBoundSeconds is from proven until then, -1 when that is not known or a moment was chosen.
	Silent           time.Time `json:"silent,omitzero"`
	LossBoundSeconds float64   `json:"lossBoundSeconds"`
	// ValuesAway is of how many values of the store the archive has the names alone.
	ValuesAway   int    `json:"valuesAway"`
	DataDir      string `json:"dataDir"`
	Name         string `json:"name"`
	Milliseconds int64  `json:"milliseconds"` // that the promotion took
}

func (g *globals) writePromoted(p promotion, r server.PromotionReport, took time.Duration) error {
	v := promotedView{replayView: replayViewOf(r.ReplayReport), Silent: r.Silent, LossBoundSeconds: -1, ValuesAway: r.Away, DataDir: p.config.DataDir, Name: p.config.Name, Milliseconds: took.Milliseconds()}
	v.GroupTime = r.GroupTime
	chosen := p.at != moment{}
	if !chosen && !r.Proven.IsZero() && r.Silent.After(r.Proven) {
		v.LossBoundSeconds = r.Silent.Sub(r.Proven).Seconds()
	}
	return g.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "group %s (%s): epoch %d begins, in %d ms\nrecovered  up to index %d of %s, with %s\n%s%s", v.Group, v.GroupID, v.Epoch, v.Milliseconds, v.Index,
			v.GroupTime.Format(time.RFC3339Nano), count(v.Sessions, "session"), v.bound(chosen), v.away(p.serve))
		if err == nil && p.config.BackupTo == "" {
			_, err = io.WriteString(w, backupReminder(r.Backups))
		}
		if err == nil && !p.serve {
			_, err = fmt.Fprintf(w, "start it with: %s\n", serveLine(p.config))
		}
		return err
	})
}

// bound says what may be lost.
func (v promotedView) bound(chosen bool) string {
	switch {
	case chosen:
		return "loss bound everything behind that moment\n"
	case v.Proven.IsZero():
		return "loss bound not known: no node has proven that the archive has everything\n"
	}
	text := fmt.Sprintf("loss bound everything acknowledged before %s (clock of %s) is there\n", v.Proven.Format(time.RFC3339Nano), clean(v.ProvenBy))
	if v.LossBoundSeconds >= 0 {
		text += fmt.Sprintf("           the standby lost the group %.3f s later, at %s; what it acknowledged in that time, or later, may be lost\n", v.LossBoundSeconds, v.Silent.Truncate(time.Millisecond).Format(time.RFC3339Nano))
	}
	return text
}

// away says what nobody has the bytes of. A node that serves at once has called them lost before anybody can bring them, and for good.
func (v promotedView) away(serves bool) string {
	if v.ValuesAway == 0 {
		return ""
	}
	text := fmt.Sprintf("store      of %s of modules with copies: 2 the archive has the names alone: they read as lost.\n           If old nodes' disks can still be read, ", count(v.ValuesAway, "value"))
	if serves {
		return text + "stop this node, promote again into another --data-dir, with --force and without --serve,\n           and copy what is in their DATA-DIR/copies into copies there before that node starts\n"
	}
	return text + fmt.Sprintf("copy what is in their DATA-DIR/copies into %s before this node starts\n", filepath.Join(clean(v.DataDir), "copies"))
}

func serveLine(c server.Config) string {
	line := "holdfast serve --name " + c.Name + " --data-dir " + clean(c.DataDir)
	if c.TLSDir != "" {
		line += " --tls-dir " + clean(c.TLSDir)
	}
	return line
}
