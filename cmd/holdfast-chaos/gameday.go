package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/gameday"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

func newGamedayCommand() *cobra.Command {
	var o gameday.Options
	var admin []string
	var tokenFile, out string
	var kill, start []string
	var names, usual, abouts []string // usual: what needs no hook
	for _, n := range gameday.Names() {
		names = append(names, n[0])
		if n[0] != gameday.Kill {
			usual = append(usual, n[0])
		}
		abouts = append(abouts, fmt.Sprintf("  %-10s %s", n[0], n[1]))
	}
	cmd := &cobra.Command{
		Use:   "gameday",
		Short: "Do things to a running deployment, with brakes",
		Long: `Do what a running deployment must bear without an error, drawn from a seed, through its admin API:

` + strings.Join(abouts, "\n") + `

By default nothing is done: what would be done is said, and the brakes are shown. With --execute it is done. The brakes: nothing begins unless all voters are well, one could be lost, no
quiesce, workflow, evacuation or maintenance lock is on, each --probe has had a good answer, no more of their requests fail than --max-failed
allows, and never are all of them without a good answer for longer than --max-outage. The brakes of the probes end what goes on, too, also a hand-over or a backup half-way; so does a lock, workflow or
quiesce that begins meanwhile, and what is wrong with the group for 5 s and is not the doing of the game day: nobody leads, or another node is not well.

Whatever was done is taken back, also after Ctrl-C, SIGTERM and SIGHUP (a terminal that is closed): that is tried for two minutes, and a second Ctrl-C does not end it. What could not be taken
back is told, with the command that does. Nodes are killed only by commands that you give, each for one node (--kill, --start); the group is asked whether the
node's process has ended, and the game day waits until the node is ready again by another one.

Exit status: 0 done, 1 clients got errors or the group was not well, 2 wrong usage, 3 it could not be done.`,
		Example: `  holdfast-chaos gameday --admin http://10.0.0.1:7700,http://10.0.0.2:7700 --probe http://shop.example.com/health
  holdfast-chaos gameday --admin ... --probe ... --execute --count 10 --pause 5m
  holdfast-chaos gameday --admin ... --probe ... --execute --fault kill \
    --kill 'n1=ssh n1 sudo systemctl kill -s SIGKILL holdfast' --kill 'n2=ssh n2 sudo systemctl kill -s SIGKILL holdfast'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Hooks, err = readHooks(kill, start); err != nil {
				return err
			}
			if len(kill) > 0 && !cmd.Flags().Changed("fault") {
				o.Faults = names
			}
			if err := checkGameday(&o, names); err != nil {
				return err
			}
			token, err := readToken(tokenFile)
			if err != nil {
				return wrongUsage{err}
			}
			if o.Client, err = client.New(client.Options{URLs: admin, Token: token}); err != nil {
				return wrongUsage{err}
			}
			defer o.Client.Close()
			o.Reach = reach(cmd, admin, tokenFile)
			o.Record = record.New(record.Run{Scenario: "gameday", About: "Through the admin API of a running deployment.", Profile: "gameday", Substrate: "live", Seed: o.Seed})
			s := newScreen(cmd.ErrOrStderr())
			s.follow(o.Record, time.Duration(o.Count)*(o.For+o.Pause))
			ctx, stop := untilUndone(cmd.Context(), func(text string) { o.Record.Note(record.Noted, "", "%s", text) })
			defer stop()
			played := gameday.Play(ctx, o)
			s.close()
			return endGameday(cmd.ErrOrStderr(), &o, played, out)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&admin, "admin", []string{client.DefaultURL}, "admin `URLS` of the nodes")
	f.StringVar(&tokenFile, "token-file", "", "`FILE` with an access token of the role admin (default: the variable HOLDFAST_TOKEN)")
	f.StringSliceVar(&o.Faults, "fault", usual, "what may be done, `NAME,...`; with --kill also kill")
	f.StringArrayVar(&kill, "kill", nil, "`NODE=COMMAND` for the shell that kills a node's process; repeatable")
	f.StringArrayVar(&start, "start", nil, "`NODE=COMMAND` that starts it again, where no service manager does; repeatable")
	f.IntVar(&o.Count, "count", 3, "how often something is done (`N`)")
	f.DurationVar(&o.For, "for", 10*time.Second, "how long it lasts (`DURATION`)")
	f.DurationVar(&o.Pause, "pause", 30*time.Second, "between the end of one and the next (`DURATION`)")
	f.Uint64Var(&o.Seed, "seed", 1, "`NUMBER` that everything random is drawn from")
	f.BoolVar(&o.Execute, "execute", false, "do it")
	f.StringArrayVar(&o.Probes, "probe", nil, "`URL` that clients use, asked ten times in a second; no answer, or a status of 500 or above, is a failure; repeatable")
	f.Float64Var(&o.MaxFailed, "max-failed", 0.01, "the `SHARE` (0 to 1) of the last hundred probes that may fail")
	f.DurationVar(&o.MaxOutage, "max-outage", 2*time.Second, "how long no probe at all may have a good answer; one that takes longer, or 5 s, is a failure (`DURATION`; 0: not limited)")
	f.DurationVar(&o.Patience, "patience", 2*time.Minute, "how long a brake may be on before it is called off (`DURATION`)")
	f.StringVar(&out, "out", "", "`DIR` for run.json and the reports (default: none)")
	return cmd
}

// reach are the flags by which the holdfast command asks the same nodes.
func reach(cmd *cobra.Command, admin []string, tokenFile string) (flags string) {
	if cmd.Flags().Changed("admin") {
		flags += " --admin " + quote(strings.Join(admin, ","))
	}
	if tokenFile != "" {
		flags += " --token-file " + quote(tokenFile)
	}
	return flags
}

// minOutage is the shortest outage that probes, ten in a second, tell from the time between two answers.
const minOutage = 500 * time.Millisecond

// readHooks reads NODE=COMMAND.
func readHooks(kill, start []string) (h gameday.Hooks, err error) {
	for _, part := range []struct {
		flag string
		list []string
		to   *map[string]string
	}{{"--kill", kill, &h.Kill}, {"--start", start, &h.Start}} {
		*part.to = map[string]string{}
		for _, text := range part.list {
			node, command, found := strings.Cut(text, "=")
			node, command = strings.TrimSpace(node), strings.TrimSpace(command)
			switch {
			case !found || node == "" || command == "":
				return h, usagef("%s %.60q: want NODE=COMMAND", part.flag, text)
			case (*part.to)[node] != "":
				return h, usagef("%s: node %.60s has two commands", part.flag, node)
			}
			(*part.to)[node] = command
		}
	}
	for node := range h.Start {
		if h.Kill[node] == "" {
			return h, usagef("--start: node %.60s has no --kill", node)
		}
	}
	return h, nil
}

func checkGameday(o *gameday.Options, names []string) error {
	for _, n := range o.Faults {
		if !slices.Contains(names, n) {
			return usagef("--fault %q: it is one of %s", n, strings.Join(names, ", "))
		}
	}
	switch {
	case len(o.Faults) == 0:
		return usagef("--fault: name what may be done, of %s", strings.Join(names, ", "))
	case slices.Contains(o.Faults, gameday.Kill) && len(o.Hooks.Kill) == 0:
		return usagef("--fault %s needs --kill NODE=COMMAND: this program cannot kill what runs elsewhere", gameday.Kill)
	case o.Count < 1:
		return usagef("--count %d: want 1 or more", o.Count)
	case o.For < 0 || o.Pause < 0 || o.Patience < 0:
		return usagef("--for, --pause and --patience are not negative")
	case o.MaxOutage != 0 && o.MaxOutage < minOutage:
		return usagef("--max-outage %v: want %v or more, or 0 for no limit", o.MaxOutage, minOutage)
	case !(o.MaxFailed >= 0 && o.MaxFailed <= 1):
		return usagef("--max-failed %v: want a share from 0 to 1", o.MaxFailed)
	case o.Execute && len(o.Probes) == 0:
		return usagef("--execute needs --probe with a URL that clients use: without it nobody would notice that they get errors")
	}
	return nil
}

// maxToken bounds the file with the token, in bytes.
const maxToken = 4096

func readToken(file string) (string, error) {
	if file == "" {
		return os.Getenv("HOLDFAST_TOKEN"), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err == nil && len(text) > maxToken {
		err = fmt.Errorf("%s is no token: larger than %d bytes", file, maxToken)
	}
	return strings.TrimSpace(string(text)), err
}

// endGameday judges by the probes, writes the reports, and gives the error for the exit status.
func endGameday(w io.Writer, o *gameday.Options, played error, out string) error {
	run := o.Record.Snapshot()
	all, failed, _ := run.Requests()
	judged := record.Result{Name: "clients-served", When: record.Always, About: "No more probes fail than were allowed, and at no time are all without an answer for longer than was allowed.", OK: true,
		Saw: fmt.Sprintf("%d of %d probes failed, the longest time without a good answer was %s", failed, all, record.Short(run.Outage))}
	if float64(failed) > o.MaxFailed*float64(all) || o.MaxOutage > 0 && run.Outage > o.MaxOutage || errors.Is(played, gameday.ErrBrake) {
		judged.OK, judged.Count, judged.Violations = false, 1, []string{judged.Saw}
		if played != nil {
			judged.Violations[0] = played.Error()
		}
	}
	o.Record.Check(judged)
	problem := played
	if errors.Is(played, gameday.ErrBrake) {
		problem = nil
	}
	run = o.Record.Finish(problem)
	if out != "" {
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		if err := errors.Join(record.Write(filepath.Join(out, "run.json"), run), writeReports(out, []*record.Run{run})); err != nil {
			return err
		}
	}
	switch {
	case problem != nil:
		return problem
	case !judged.OK:
		_, _ = fmt.Fprintf(w, "holdfast-chaos: %s\n", clean(judged.Violations[0]))
		return told{errBroken}
	}
	_, _ = fmt.Fprintf(w, "%d things done and taken back; %s\n", len(run.Played()), judged.Saw)
	return nil
}
