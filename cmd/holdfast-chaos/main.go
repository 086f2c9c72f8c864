// Command holdfast-chaos proves the promises of Holdfast on the machine where it runs: it plays scenarios against real processes and says what was broken.
//
// Each sub-command is a file of its own. Exit status: 0 everything held, 1 a promise was broken, 2 wrong usage, 3 it could not be played. Reports and tables go to standard output,
// everything else to standard error; on a failure the last line is the command that plays the same again.
package main

import (
	"context"
	"io"
	"os"
)

// version is set by the build (-ldflags "-X main.version=v1.2.3").
var version = "dev"

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// execute executes one command line and gives the exit status.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRootCommand(out)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	return explain(errOut, cmd, err)
}
