package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func newFileCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "file",
		Short: "Files that every node has: error and maintenance pages, and what they need",
		Long: `Files of the group, up to 1 MiB each and 16 MiB together. Every node has them, byte for byte, as it has the configuration. An error page names one
(proxy.errorPages: [{status: maintenance, file: sorry.html}]), and with proxy.filesPath: /_files/ each listener serves them all below that path, for the images
and styles of a page.`,
		Example: `  holdfast file put sorry.html ./sorry.html
  holdfast file list
  holdfast file get sorry.html > sorry.html`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newFilePutCommand(g), newFileListCommand(g), newFileGetCommand(g), newFileRemoveCommand(g))
	return g.operator(cmd)
}

func newFilePutCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "put NAME PATH",
		Short: "Add a file, or put another one in the place of one",
		Long: `Add a file, or put another one in the place of one: every node serves the one or the other, whole. What browsers take it for is said by the end of its name
(.html, .css, .js, .json, .txt, .png, .jpg, .jpeg, .gif, .svg, .webp, .avif, .ico, .woff, .woff2). PATH - is standard input.`,
		Example: `  holdfast file put sorry.html ./sorry.html
  holdfast file put logo.png - < logo.png`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !config.FileName(args[0]) {
				return usagef(cmd, "%q cannot be the name of a file: want 1 to 128 letters, digits, dots, dashes or underscores, the first a letter or a digit", args[0])
			}
			data, err := g.readInput(args[1], fsm.MaxFile)
			if err != nil {
				return err
			}
			if len(data) == 0 {
				return fmt.Errorf("%s is empty", clean(args[1]))
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			f, err := c.PutFile(ctx, args[0], data)
			if err != nil {
				return fmt.Errorf("put file %s: %w", args[0], err)
			}
			return g.print(f, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "every node has file %s: %d bytes, SHA-256 %s\n", f.Name, f.Size, f.SHA256)
				return err
			})
		},
	}
}

func newFileListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the files",
		Example: `  holdfast file list
  holdfast file list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := c.Files(ctx)
			if err != nil {
				return fmt.Errorf("list files: %w", err)
			}
			return g.print(list, func(w io.Writer) error {
				if len(list.Files) == 0 {
					_, err := fmt.Fprintln(w, "no files")
					return err
				}
				t := g.table("NAME", "BYTES>", "SHA-256", "CHANGED", "BY", "PAGES")
				for _, f := range list.Files {
					t.row(f.Name, f.Size, f.SHA256[:16], when(f.Changed), orDash(f.Actor), orDash(strings.Join(f.Pages, " ")))
				}
				return t.write(w)
			})
		},
	}
}

func newFileGetCommand(g *globals) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Write a file to standard output, or into a file of this machine",
		Example: `  holdfast file get sorry.html
  holdfast file get logo.png --to logo.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			data, err := c.File(ctx, args[0])
			if err != nil {
				return fmt.Errorf("get file %s: %w", clean(args[0]), err)
			}
			return g.writeOutput(to, data)
		},
		ValidArgsFunction: g.completeFiles,
	}
	cmd.Flags().StringVar(&to, "to", "-", "write it into this `FILE`; - is standard output")
	return cmd
}

func newFileRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Short:   "Remove files that no error page names",
		Example: "  holdfast file remove logo.png",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, name := range args {
				if err := c.RemoveFile(ctx, name); err != nil {
					return fmt.Errorf("remove file %s: %w", clean(name), err)
				}
				fmt.Fprintf(g.out, "file %s removed\n", clean(name))
			}
			return nil
		},
		ValidArgsFunction: g.completeFiles,
	}
}

// completeFiles completes names of files.
func (g *globals) completeFiles(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 && cmd.Name() != "remove" {
		return nil, nothing
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil, nothing
	}
	defer done()
	list, err := c.Files(ctx)
	if err != nil {
		return nil, nothing
	}
	var names []string
	for _, f := range list.Files {
		names = append(names, f.Name)
	}
	return names, nothing
}
