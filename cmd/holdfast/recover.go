package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/server"
)

// recovered is what recover prints.
type recovered struct {
	DataDir string `json:"dataDir"`
	Node    string `json:"node"`
	// Done: the new epoch has begun; otherwise nothing was changed.
	Done bool `json:"done"`
	// ReadOnly: the node had no vote; it leads alone now.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Term is that of the last entry.
	Term uint64 `json:"term"`
	// Made is the directory of the new epoch, Kept has what was there.
	Made string `json:"made,omitempty"`
	Kept string `json:"kept,omitempty"`
	archiveView
}

func newRecoverCommand(g *globals) *cobra.Command {
	how := server.Recovery{Version: version, Actor: operatorName()}
	accept := false
	cmd := &cobra.Command{
		Use:   "recover --data-dir DIR",
		Short: "Go on from one node when a group has lost its quorum for good",
		Long: `Go on from one node when a group has lost the majority of its nodes for good. Without --accept-loss it only looks: it says what this node has, and changes nothing. Do
that on every node that is left, and take the one with the highest term, and of those the one with the highest index: what the group has acknowledged after that is lost.

With --accept-loss the group begins its next epoch on this node alone, with everything that is in the directory. It has the same id, keys and authority; cookies from before still
route, and with 'insert' affinity they bring back the sessions that are lost. The old directory is kept beside the new one. Nodes of the old epoch that come back are
told so by this node, and end; let them in again with empty data directories and join tokens.

All nodes must be down: it is refused (exit status 3) while another one answers, and when this one has its majority alone.`,
		Example: `  holdfast recover --data-dir /var/lib/holdfast                  # look
  holdfast recover --data-dir /var/lib/holdfast --accept-loss    # do it
  holdfast serve --name n1 --data-dir /var/lib/holdfast`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			if how.DataDir == "" {
				return usagef(cmd, "name the data directory of the node: --data-dir DIR")
			}
			return g.recover(cmd, how, accept)
		},
	}
	f := cmd.Flags()
	f.StringVar(&how.DataDir, "data-dir", "", "the data directory `DIR` of a node that does not run")
	f.StringVar(&how.TLSDir, "tls-dir", "", "`DIR` with the node's key and certificates (default: tls below the data directory)")
	f.StringVar(&how.To, "to", "", "make the new data directory at `DIR` (default: in place of the old one, which is kept beside it)")
	f.BoolVar(&accept, "accept-loss", false, "do it: what this node does not have is lost")
	g.outputFlag(f)
	return cmd
}

func (g *globals) recover(cmd *cobra.Command, how server.Recovery, accept bool) (err error) {
	s, err := server.OpenSurvivor(cmd.Context(), how)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	defer func() {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}()
	before := viewOf("", 0, s.Report.Header).verified(s.Report)
	if g.output == "table" {
		if err := writeSurvivor(g.out, s, before); err != nil {
			return err
		}
	}
	if !accept {
		if g.output != "table" {
			if err := g.print(recovered{DataDir: how.DataDir, Node: s.Node, ReadOnly: s.ReadOnly, Term: s.Report.Header.Term, archiveView: before}, nil); err != nil {
				return err
			}
		}
		return &stateError{fmt.Sprintf("nothing was changed: with --accept-loss epoch %d begins on this node alone", before.Epoch+1)}
	}
	report, err := s.Recover()
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	r := recovered{DataDir: how.DataDir, Node: s.Node, ReadOnly: s.ReadOnly, Done: true, Term: s.Report.Header.Term, Made: how.DataDir, Kept: s.Aside, archiveView: viewOf("", 0, report.Header).verified(report)}
	if how.To != "" {
		r.Made, r.Kept = how.To, how.DataDir
	}
	return g.print(r, func(w io.Writer) error { return writeRecovered(w, r, how.TLSDir != "", backupReminder(report.Backups)) })
}

func writeSurvivor(w io.Writer, s *server.Survivor, v archiveView) error {
	node, term := s.Node, s.Report.Header.Term
	doubt := ""
	if s.ReadOnly {
		doubt = "it has no vote (--read-only): with --accept-loss it leads the group, alone\n"
	}
	if v.Confirmed < v.Index {
		doubt += fmt.Sprintf("up to index %d they are known to be committed; those behind it may never have been acknowledged, and are kept\n", v.Confirmed)
	}
	_, err := fmt.Fprintf(w, `node %s of group %s (%s), epoch %d, members %s
has entries up to term %d, index %d, state of %s: %s, revision %d
%swhat the group has acknowledged after that is lost
`, clean(node), v.Group, v.GroupID, v.Epoch, clean(strings.Join(v.Members, ", ")), term, v.Index, when(v.GroupTime), count(*v.Sessions, "session"), v.Revision, doubt)
	return err
}

func writeRecovered(w io.Writer, r recovered, ownTLS bool, reminder string) error {
	keys := reminder
	if r.ReadOnly {
		keys += fmt.Sprintf("node %s had no vote and leads now: start it without --read-only (in its flags, its file, its environment): with it the node gives leadership and vote away as soon as another one has a vote\n", clean(r.Node))
	}
	if ownTLS {
		keys += fmt.Sprintf("its keys are new: in %s/tls, so start it without --tls-dir\n", clean(r.Made))
	}
	_, err := fmt.Fprintf(w, `epoch %d begins on node %s alone, in %s; what was there is kept in %s
%sstart it with: holdfast serve --name %s --data-dir %s
then let the others join with empty data directories: holdfast token create --role node
`, r.Epoch, clean(r.Node), clean(r.Made), clean(r.Kept), keys, r.Node, clean(r.Made))
	return err
}
