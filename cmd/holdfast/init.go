package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// newInitCommand makes the one secret that the first nodes of a group share.
func newInitCommand(g *globals) *cobra.Command {
	var group, file string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a group's authority and the one string that its first nodes are started with",
		Long: `Make a group's certificate authority and print the one string (hfi1.…) that its first nodes are started with.

Whoever has the string can become a node of the group: give it to the nodes in HOLDFAST_JOIN_TOKEN or in a file (serve --join-token-file), and delete it
when they are in. It touches nothing on this machine and needs no running node. Later nodes come in with join tokens ('holdfast token create --role node').`,
		Example: `  export HOLDFAST_JOIN_TOKEN="$(holdfast init --group shop)"   # the same string on every node
  holdfast serve --name n1 --bootstrap-expect 3 --join n1:7701,n2:7701,n3:7701

  holdfast init --group shop --ttl 1h --out shop.init          # into a file that only you can read
  holdfast serve --name n1 --bootstrap-expect 3 --join n1:7701,n2:7701,n3:7701 --join-token-file shop.init`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			now := time.Now()
			text, err := pki.NewInit(group, ttl, now)
			if err != nil {
				return usageOf(cmd, err)
			}
			made, err := pki.ParseInit(text, now)
			if err != nil {
				return err
			}
			if file != "" {
				if err := writeSecret(file, text+"\n"); err != nil {
					return err
				}
				fmt.Fprintf(g.err, "init string of group %s (%s), good until %s, written to %s\n", made.GroupName, made.GroupID, when(made.Expires), file)
				return nil
			}
			answer := struct {
				Init    string    `json:"init"`
				Group   string    `json:"group"`
				GroupID string    `json:"groupId"`
				Expires time.Time `json:"expires"`
			}{text, made.GroupName, made.GroupID, made.Expires}
			return g.print(answer, func(w io.Writer) error {
				fmt.Fprintf(g.err, "init string of group %s (%s), good until %s; keep it secret\n", made.GroupName, made.GroupID, when(made.Expires))
				_, err := fmt.Fprintln(w, text)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&group, "group", "holdfast", "`NAME` of the new group")
	f.DurationVar(&ttl, "ttl", 24*time.Hour, "how `LONG` the string lets nodes in")
	f.StringVar(&file, "out", "", "write the string to a new `FILE` (mode 0600) instead of printing it")
	g.outputFlag(f)
	return cmd
}

// writeSecret makes a new file that only its owner can read. It never overwrites one: the string in it may be in use.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write init string: %w", err)
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write init string: %w", err)
	}
	return nil
}
