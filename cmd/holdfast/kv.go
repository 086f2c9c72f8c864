package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm"
)

func newKVCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Keys and values that the instances of a module share",
		Long: `Keys and values that the instances of a module share through the group: store: {kv: true} of the module in the configuration has it keep them. Instances use the
HTTP API; these commands are for operators. --module may be left out for a cluster with one module.`,
		Example: `  holdfast kv list shop --module /shop --prefix flags/
  holdfast kv get shop motd`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newKVListCommand(g), newKVGetCommand(g), newKVPutCommand(g), newKVDeleteCommand(g), newKVUsageCommand(g))
	return g.operator(cmd)
}

// moduleFlag names the module of a cluster.
func moduleFlag(cmd *cobra.Command, module *string) {
	cmd.Flags().StringVar(module, "module", "", "the module `[HOST]ROOT` of the cluster, as in /shop or shop.example/shop")
}

func moduleNamed(cluster, module string) client.ModuleName {
	host, root := "", ""
	if module != "" {
		host, root = splitModule(module)
	}
	return client.ModuleName{Cluster: cluster, Host: host, ContextRoot: root}
}

func newKVListCommand(g *globals) *cobra.Command {
	var module string
	var f client.KeyFilter
	cmd := &cobra.Command{
		Use:     "list CLUSTER",
		Short:   "List the keys of a module",
		Example: "  holdfast kv list shop --module /shop --prefix flags/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			all := client.StoredKeys{Keys: []client.StoredKey{}}
			for f.Limit = 1000; ; {
				page, err := c.Keys(ctx, moduleNamed(args[0], module), f)
				if err != nil {
					return fmt.Errorf("list keys: %w", err)
				}
				all.Keys, all.Index = append(all.Keys, page.Keys...), page.Index
				if f.After = page.Next; f.After == "" {
					break
				}
			}
			return g.print(all, func(w io.Writer) error {
				t := g.table("KEY", "TYPE", "BYTES>", "VERSION", "CHANGED", "EXPIRES")
				for _, k := range all.Keys {
					expires := "never"
					if !k.Expires.IsZero() {
						expires = when(k.Expires)
					}
					t.row(clean(k.Key), clean(k.Type), cell{text: fmt.Sprint(k.Bytes)}, k.ETag, when(k.Changed), expires)
				}
				return t.write(w)
			})
		},
	}
	moduleFlag(cmd, &module)
	cmd.Flags().StringVar(&f.Prefix, "prefix", "", "only keys that begin with `TEXT`")
	return cmd
}

func newKVGetCommand(g *globals) *cobra.Command {
	var module string
	cmd := &cobra.Command{
		Use:     "get CLUSTER KEY",
		Short:   "Write the value of a key to standard output, byte for byte",
		Example: "  holdfast kv get shop motd",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			v, err := c.Key(ctx, moduleNamed(args[0], module), args[1])
			if err != nil {
				return fmt.Errorf("get key: %w", err)
			}
			return g.writeValue(v)
		},
	}
	moduleFlag(cmd, &module)
	return cmd
}

// valueDocument is a value in JSON or YAML.
type valueDocument struct {
	ETag    string    `json:"etag"`
	Type    string    `json:"type"`
	Expires time.Time `json:"expires,omitzero"`
	Data    []byte    `json:"data"`
}

func (g *globals) writeValue(v *client.Value) error {
	return g.print(valueDocument{v.ETag, v.Type, v.Expires, v.Data}, func(w io.Writer) error {
		_, err := w.Write(v.Data)
		return err
	})
}

func newKVPutCommand(g *globals) *cobra.Command {
	var module, media, file, version string
	var ttl time.Duration
	var absent bool
	cmd := &cobra.Command{
		Use:   "put CLUSTER KEY [VALUE]",
		Short: "Write the value of a key",
		Example: `  holdfast kv put shop motd "Back at noon" --type text/plain
  holdfast kv put shop flags/new-checkout --file flag.json --type application/json --if-match '"4711"'`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 3 && file != "":
				return usagef(cmd, "either a value or --file, not both")
			case len(args) == 2 && file == "":
				return usagef(cmd, "the value is missing: give it, or --file")
			case ttl < 0 || ttl > 0 && ttl < time.Second:
				return usagef(cmd, "--ttl %v: want 1s or more, or 0 for ever", ttl)
			case absent && version != "":
				return usagef(cmd, "either --if-match or --if-absent")
			}
			data := []byte(nil)
			if file != "" {
				b, err := g.readInput(file, fsm.MaxStoredValue)
				if err != nil {
					return fmt.Errorf("put key: %w", err)
				}
				data = b
			} else {
				data = []byte(args[2])
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			tag, err := c.PutKey(ctx, moduleNamed(args[0], module), args[1], client.Value{Data: data, Type: media}, ttl, client.WriteIf{ETag: version, Absent: absent})
			if err != nil {
				return fmt.Errorf("put key: %w", err)
			}
			return g.print(map[string]string{"etag": tag}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "key %s written, version %s\n", clean(args[1]), tag)
				return err
			})
		},
	}
	moduleFlag(cmd, &module)
	f := cmd.Flags()
	f.StringVar(&media, "type", "", "the media `TYPE` of the value")
	f.StringVar(&file, "file", "", "`FILE` with the value; -: standard input")
	f.DurationVar(&ttl, "ttl", 0, "how long it stays without another write; 0: for ever")
	f.StringVar(&version, "if-match", "", "only when the value has this `VERSION`, with its quotes")
	f.BoolVar(&absent, "if-absent", false, "only when there is no value")
	return cmd
}

func newKVDeleteCommand(g *globals) *cobra.Command {
	var module string
	var all bool
	cmd := &cobra.Command{
		Use:   "delete CLUSTER [KEY]",
		Short: "Remove a key, or all keys of a module",
		Example: `  holdfast kv delete shop motd
  holdfast kv delete shop --module /shop --all`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == all {
				return usagef(cmd, "either a key or --all")
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			m := moduleNamed(args[0], module)
			if all {
				if err := c.ClearKeys(ctx, m); err != nil {
					return fmt.Errorf("delete keys: %w", err)
				}
				return g.print(map[string]bool{"removed": true}, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "all keys of %s%s removed; 'holdfast events' says how many\n", clean(args[0]), clean(module))
					return err
				})
			}
			if err := c.DeleteKey(ctx, m, args[1], client.WriteIf{}); err != nil {
				return fmt.Errorf("delete key: %w", err)
			}
			return g.print(map[string]bool{"removed": true}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "key %s removed\n", clean(args[1]))
				return err
			})
		},
	}
	moduleFlag(cmd, &module)
	cmd.Flags().BoolVar(&all, "all", false, "all keys of the module, also of one that has no store any more")
	return cmd
}

func newKVUsageCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "usage",
		Short:   "How much the modules keep in the store, session data included",
		Example: "  holdfast kv usage",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			r, err := c.Store(ctx)
			if err != nil {
				return fmt.Errorf("usage of the store: %w", err)
			}
			return g.print(r, func(w io.Writer) error {
				t := g.table("CLUSTER", "MODULE", "SESSIONS>", "KEYS>", "USED>", "OF>")
				for _, u := range r.Modules {
					t.row(clean(u.Cluster), clean(u.Host+u.ContextRoot), cell{text: fmt.Sprint(u.Sessions)}, cell{text: fmt.Sprint(u.Keys)}, cell{text: bytesText(u.Bytes)}, cell{text: bytesText(u.MaxBytes)})
				}
				t.row("all", "", cell{}, cell{}, cell{text: bytesText(r.Bytes)}, cell{text: bytesText(r.MaxBytes)})
				return t.write(w)
			})
		},
	}
}

func newSessionDataCommand(g *globals) *cobra.Command {
	var l client.Lookup
	var sessionFile, cookieFile string
	cmd := &cobra.Command{
		Use:   "data [KEY]",
		Short: "Write the data that the application keeps of a session to standard output, byte for byte",
		Long: `Write the data that the application keeps of a session to standard output, byte for byte. Name the session by its key, or give the application's session id in a file or on
standard input (-).`,
		Example: `  holdfast session data 3f0c1d2e4b5a69788796a5b4c3d2e1f0
  holdfast session data --cluster shop --context-root /shop --session-file - < id.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			key := ""
			if len(args) == 1 {
				if sessionFile != "" || cookieFile != "" {
					return usagef(cmd, "either a key or a file, not both")
				}
				if key, err = keyArgument(cmd, args[0]); err != nil {
					return err
				}
			} else {
				if err := g.readLookup(cmd, &l, sessionFile, cookieFile); err != nil {
					return err
				}
				r, err := c.LookupSession(ctx, l)
				if err != nil {
					return fmt.Errorf("session data: %w", err)
				}
				key = r.Key
			}
			v, err := c.DataOfKey(ctx, key)
			var p *client.Problem
			if errors.As(err, &p) && p.Status == 404 {
				return fmt.Errorf("session data: the application keeps none of session %s", key)
			}
			if err != nil {
				return fmt.Errorf("session data: %w", err)
			}
			return g.writeValue(v)
		},
	}
	sessionFlags(cmd, &l, &sessionFile, &cookieFile)
	return cmd
}
