package main

import (
	"context"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/storage/archive"
	"github.com/holdfast-lb/holdfast/storage/depot"
)

func newBackupListCommand(g *globals) *cobra.Command {
	var store storeFlags
	cmd := &cobra.Command{
		Use:   "list [DIR|s3://BUCKET/PREFIX]",
		Short: "List the archives of a directory or a bucket",
		Long: `List the archives (*.hfb) of a directory, or below a prefix of a bucket, the older state of each group first. Only their headers are read: 'holdfast backup verify' reads all of them.
Needs no running node.`,
		Example: `  holdfast backup list /backup
  holdfast backup list s3://backups/shop
  holdfast backup list /backup -o json | jq -r '.archives[-1].path'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			list, err := listArchives(cmd.Context(), dir, &store)
			if err != nil {
				return err
			}
			answer := struct {
				Archives []archiveView `json:"archives"`
			}{[]archiveView{}}
			for _, e := range list {
				v := viewOf(e.Path, e.Size, e.Header)
				if e.Err != nil {
					v = archiveView{Path: e.Path, Bytes: e.Size, Error: e.Err.Error()}
				}
				answer.Archives = append(answer.Archives, v)
			}
			return g.print(answer, func(w io.Writer) error { return g.writeArchives(w, answer.Archives) })
		},
	}
	store.add(cmd.Flags())
	g.outputFlag(cmd.Flags())
	return cmd
}

func listArchives(ctx context.Context, dir string, s *storeFlags) ([]archive.Entry, error) {
	if !depot.IsAddress(dir) {
		return archive.List(dir)
	}
	b, err := s.open(dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return b.List(ctx)
}

func (g *globals) writeArchives(w io.Writer, list []archiveView) error {
	t := g.table("ARCHIVE", "GROUP", "EPOCH>", "INDEX>", "STATE OF", "MADE BY", "SIZE>")
	for _, v := range list {
		name := filepath.Base(v.Path)
		if v.Error != "" {
			t.row(name, cell{v.Error, bad}, "", "", "", "", bytesText(v.Bytes))
			continue
		}
		t.row(name, v.Group, v.Epoch, v.Index, when(v.GroupTime), madeBy(v), bytesText(v.Bytes))
	}
	return t.write(w)
}

func madeBy(v archiveView) string {
	if v.Scheduled {
		return orDash(v.Node) + ", scheduled"
	}
	return orDash(v.Node)
}
