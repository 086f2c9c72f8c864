package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// globals are the settings that all operator commands share, and where they read and write.
type globals struct {
	in        io.Reader
	out, err  io.Writer
	lookupEnv func(string) (string, bool)
	// noHelp is why there was no help to show: it was asked for on a command that there is not.
	noHelp error

	admin     []string
	token     string
	tokenFile string
	timeout   time.Duration
	output    string

	// timeouts are the flags that set timeout: a command may have a --timeout of another meaning.
	timeouts []*pflag.Flag
}

// defaultTimeout bounds a command that neither waits for something nor moves much.
const defaultTimeout = 30 * time.Second

// clientFlags adds the flags of the commands that talk to a group.
func (g *globals) clientFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&g.admin, "admin", nil, "admin `URL`s of nodes, tried in turn (HOLDFAST_ADMIN; default "+client.DefaultURL+")")
	f.StringVar(&g.token, "token", "", "access `TOKEN` (better: HOLDFAST_TOKEN, or --token-file); on a node's own machine none is needed")
	f.StringVar(&g.tokenFile, "token-file", "", "`FILE` that holds the access token (HOLDFAST_TOKEN_FILE)")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "give up after this `TIME`; commands that wait for something, or move much, go on for longer unless it is set")
	g.timeouts = append(g.timeouts, f.Lookup("timeout"))
}

// timed tells whether the user has bounded the command as a whole.
func (g *globals) timed(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("timeout")
	return f != nil && f.Changed && slices.Contains(g.timeouts, f)
}

// outputFlag adds -o to the commands that print data.
func (g *globals) outputFlag(f *pflag.FlagSet) {
	f.StringVarP(&g.output, "output", "o", "table", "`FORMAT` of the answer: table, json or yaml")
}

// operator gives cmd the flags of a command that talks to a group, and the completion of their values.
func (g *globals) operator(cmd *cobra.Command) *cobra.Command {
	g.clientFlags(cmd.PersistentFlags())
	g.outputFlag(cmd.PersistentFlags())
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (g *globals) env(name string) string {
	v, _ := g.lookupEnv(name)
	return v
}

// connect makes a client and a context from the flags, the variables and the defaults, in this order. Call done when the
// command is over.
func (g *globals) connect(cmd *cobra.Command) (ctx context.Context, c *client.Client, done func(), err error) {
	if err := g.checkOutput(cmd); err != nil {
		return nil, nil, nil, err
	}
	urls := g.admin
	if len(urls) == 0 {
		for _, u := range strings.Split(g.env("HOLDFAST_ADMIN"), ",") {
			if u = strings.TrimSpace(u); u != "" {
				urls = append(urls, u)
			}
		}
	}
	token, err := g.accessToken()
	if err != nil {
		return nil, nil, nil, err
	}
	if g.timeout <= 0 {
		return nil, nil, nil, usagef(cmd, "--timeout: %v is no time", g.timeout)
	}
	c, err = client.New(client.Options{URLs: urls, Token: token, UserAgent: "holdfast/" + version})
	if err != nil {
		return nil, nil, nil, usageOf(cmd, err)
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), g.timeout, fmt.Errorf("no answer within %v", g.timeout))
	return ctx, c, func() { cancel(); c.Close() }, nil
}

// accessToken finds the token; flags beat variables, and the value beats the file.
func (g *globals) accessToken() (string, error) {
	file := g.tokenFile
	switch {
	case g.token != "" && file != "":
		return "", usageError(errors.New("--token and --token-file exclude each other"))
	case g.token != "":
		return g.token, nil
	case file == "" && g.env("HOLDFAST_TOKEN") != "":
		return g.env("HOLDFAST_TOKEN"), nil
	case file == "":
		file = g.env("HOLDFAST_TOKEN_FILE")
	}
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		fmt.Fprintf(g.err, "warning: everybody on this machine can read the access token in %s (mode %04o): chmod 600 %[1]s\n", clean(file), info.Mode().Perm())
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("access token: %s is empty", file)
	}
	return token, nil
}

// readInput reads a file, or standard input for "-", up to limit bytes.
func (g *globals) readInput(name string, limit int64) ([]byte, error) {
	from := g.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", name, limit)
	}
	return data, nil
}
