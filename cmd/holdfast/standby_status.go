package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// standbyView is a standby as -o json shows it.
type standbyView struct {
	server.StandbyStatus
	Running bool `json:"running"`
	// LagSeconds is for how long nothing has been proven to be in the archive; -1: it never was.
	LagSeconds float64 `json:"lagSeconds"`
}

func newStandbyStatusCommand(g *globals) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "status --archive DIR",
		Short: "Show how far an archive is",
		Long: `Show how far the standby of an archive is, on the standby's machine. Needs no running node. The lag is for how long nothing has been proven to be in the archive: a fraction of a second
while the group is followed.`,
		Example: `  holdfast standby status --archive /var/lib/holdfast-standby
  holdfast standby status --archive /var/lib/holdfast-standby -o json | jq .lagSeconds`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			if dir == "" {
				return usagef(cmd, "name the directory of the archive: --archive DIR")
			}
			st, err := server.ReadStandbyStatus(dir)
			if isStandbyGone(err) {
				return fmt.Errorf("%s is no archive of a standby: there is no standby.json in it", dir)
			}
			if err != nil {
				return err
			}
			v := standbyView{StandbyStatus: st, LagSeconds: -1}
			if _, v.Running = archive.InUse(dir); !v.Running {
				v.PID, v.Following = 0, false
			}
			if lag := st.Lag(time.Now()); lag >= 0 {
				v.LagSeconds = lag.Seconds()
			}
			return g.print(v, v.write)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "archive", "", "`DIR` of the archive")
	g.outputFlag(f)
	return cmd
}

func (v standbyView) write(w io.Writer) error {
	state := "no standby runs"
	switch {
	case v.Following:
		state = "follows " + clean(v.Node)
	case v.Running:
		state = "follows nobody: " + clean(v.Error)
	}
	lag := "nothing is proven yet"
	if v.LagSeconds >= 0 {
		lag = fmt.Sprintf("%.1f s: everything acknowledged before %s (clock of %s) is in it", v.LagSeconds, v.Proven.Format(time.RFC3339Nano), clean(v.ProvenBy))
	}
	_, err := fmt.Fprintf(w, "standby  %s\narchive  group %s (%s), epoch %d, index %d, state of %s\nlag      %s\n", state, orDash(v.Group), orDash(v.GroupID), v.Epoch, v.Index, when(v.GroupTime), lag)
	for _, text := range v.Damage {
		if err == nil {
			_, err = fmt.Fprintf(w, "damage   found when the standby was started: %s\n", clean(text))
		}
	}
	return err
}
