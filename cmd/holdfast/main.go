// Command holdfast is a node of a group, and the tool that operates one.
//
// Each sub-command is a file of its own. Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by the state of the
// group (somebody was faster, a maintenance lock, no quorum), 4 (serve) the node's disk is in doubt. Answers go to standard
// output, everything else to standard error; secrets are never taken from the command line alone (a variable or a file does
// as well) and never logged.
package main

import (
	"context"
	"io"
	"os"
)

// version is set by the build (-ldflags "-X main.version=v1.2.3").
var version = "dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and gives the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	g := &globals{in: in, out: out, err: errOut, lookupEnv: os.LookupEnv}
	root := newRootCommand(g)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = g.noHelp
	}
	return report(errOut, cmd, err)
}
