package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/migrate"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/modjk"
	entries "github.com/holdfast-lb/holdfast/migrate/report"
	"github.com/holdfast-lb/holdfast/migrate/sun"
	"github.com/holdfast-lb/holdfast/migrate/websphere"
)

func newImportCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Read the configuration of another balancer",
		Long: `Read the configuration files of another balancer. Every element, attribute and directive is reported once, as mapped, approximated, ignored or in
error, with its line and column. With one error nothing is applied or written. Without --plan, --apply, --out or --watch only the report is printed.`,
		Example: `  holdfast import sun loadbalancer.xml
  holdfast import websphere plugin-cfg.xml --out shop.yaml
  holdfast import modjk workers.properties uriworkermap.properties --http-port 8080 --apply`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newImportSunCommand(g), newImportWebsphereCommand(g), newImportModjkCommand(g))
	return g.operator(cmd)
}

// importJob is one import as it was asked for.
type importJob struct {
	g      *globals
	format string
	files  []string
	// read makes a configuration of what the files hold.
	read func(files [][]byte) *build.Result

	plan, apply, watch bool
	replace, listenSet bool
	out, listener      string
	message            string
	interval, wait     time.Duration
}

// flags adds those that all formats share.
func (j *importJob) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&j.plan, "plan", false, "show what would change in the group, and change nothing")
	f.BoolVar(&j.apply, "apply", false, "make it part of the group's configuration, in one transaction")
	f.BoolVar(&j.watch, "watch", false, "apply it, and again whenever the files change, until SIGTERM")
	f.StringVar(&j.out, "out", "", "write it to `FILE` as Holdfast's own YAML; -: standard output")
	f.BoolVar(&j.replace, "replace", false, "take out the clusters of the group that the files do not name")
	f.StringVar(&j.listener, "listener", build.DefaultListener, "`ADDRESS` on which the group takes traffic, since the files do not say; a group that has listeners keeps them unless this is given")
	f.DurationVar(&j.interval, "interval", 0, "look for changes in this `TIME` with --watch (default: what the file says)")
	f.StringVarP(&j.message, "message", "m", "", "`TEXT` for the history (default: the format and the file)")
	f.DurationVar(&j.wait, "wait", 0, "wait until every node has applied it, this `TIME` at most")
	f.Lookup("wait").NoOptDefVal = "30s"
}

func newImportSunCommand(g *globals) *cobra.Command {
	j := &importJob{g: g, format: "sun"}
	var lenient bool
	var fallback, cluster string
	cmd := &cobra.Command{
		Use:   "sun FILE",
		Short: "Import loadbalancer.xml of Sun and GlassFish application servers",
		Long: `Import loadbalancer.xml of Sun and GlassFish application servers, or clinstance.conf, the list of instances that cladmin reads. Such a list names
neither cluster nor modules: --cluster says whose instances they are, and that cluster gets everything.`,
		Example: `  holdfast import sun loadbalancer.xml --plan
  holdfast import sun loadbalancer.xml --apply --listener :80
  holdfast import sun loadbalancer.xml --watch`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if fallback != "" && !slices.Contains([]string{"round-robin", "weighted-round-robin"}, fallback) {
				return usagef(cmd, "--policy-fallback %s: want round-robin or weighted-round-robin", fallback)
			}
			j.read = func(data [][]byte) *build.Result {
				return sun.Import(data[0], sun.Options{File: fileName(files[0]), Lenient: lenient, PolicyFallback: fallback, Cluster: cluster, Listener: j.listener})
			}
			return j.run(cmd, files)
		},
	}
	j.flags(cmd)
	cmd.Flags().BoolVar(&lenient, "lenient", false, "accept attribute values without quotes")
	cmd.Flags().StringVar(&cluster, "cluster", sun.DefaultCluster, "`NAME` of the cluster of an instance list (clinstance.conf)")
	cmd.Flags().StringVar(&fallback, "policy-fallback", "", "`POLICY` in place of user-defined, which is a library that cannot be run")
	return cmd
}

func newImportWebsphereCommand(g *globals) *cobra.Command {
	j := &importJob{g: g, format: "websphere"}
	var lenient bool
	cmd := &cobra.Command{
		Use:   "websphere FILE",
		Short: "Import plugin-cfg.xml of WebSphere and Liberty application servers",
		Example: `  holdfast import websphere plugin-cfg.xml --plan
  holdfast import websphere plugin-cfg.xml --watch`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			j.read = func(data [][]byte) *build.Result {
				return websphere.Import(data[0], websphere.Options{File: fileName(files[0]), Lenient: lenient, Listener: j.listener})
			}
			return j.run(cmd, files)
		},
	}
	j.flags(cmd)
	cmd.Flags().BoolVar(&lenient, "lenient", false, "accept attribute values without quotes")
	return cmd
}

func newImportModjkCommand(g *globals) *cobra.Command {
	j := &importJob{g: g, format: "modjk"}
	var ports []string
	cmd := &cobra.Command{
		Use:   "modjk WORKERS.PROPERTIES [URIWORKERMAP.PROPERTIES]",
		Short: "Import workers.properties and uriworkermap.properties of Tomcat's mod_jk",
		Long: `Import workers.properties and uriworkermap.properties of Tomcat's mod_jk. The workers speak AJP to mod_jk and HTTP to Holdfast: --http-port says on
which port. The JkMount lines of the web server are not read; without a URI map, a single balancer gets everything.`,
		Example: `  holdfast import modjk workers.properties --http-port 8080 --plan
  holdfast import modjk workers.properties uriworkermap.properties --http-port node1=8080,node2=8081 --apply`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, files []string) error {
			all, byName, err := httpPorts(ports)
			if err != nil {
				return usageOf(cmd, err)
			}
			opt := modjk.Options{Workers: fileName(files[0]), HTTPPort: all, HTTPPorts: byName, Env: j.variable, Listener: j.listener}
			if len(files) == 2 {
				opt.URIMap = fileName(files[1])
			}
			j.read = func(data [][]byte) *build.Result {
				return modjk.Import(data[0], append(data, nil)[1], opt)
			}
			return j.run(cmd, files)
		},
	}
	j.flags(cmd)
	cmd.Flags().StringSliceVar(&ports, "http-port", nil, "`PORT` of the HTTP connector of all workers, or NAME=PORT of one (repeatable)")
	return cmd
}

// variable finds $(name) in the environment. Holdfast's own variables are secrets, and a file of somebody else's must not get at them.
func (j *importJob) variable(name string) (string, bool) {
	if strings.HasPrefix(strings.ToUpper(name), "HOLDFAST_") {
		return "", false
	}
	return j.g.lookupEnv(name)
}

func httpPorts(words []string) (all int, byName map[string]int, err error) {
	byName = map[string]int{}
	for _, word := range words {
		name, text, named := strings.Cut(word, "=")
		if !named {
			text = word
		}
		port, err := strconv.ParseUint(text, 10, 16)
		switch {
		case err != nil || port == 0:
			return 0, nil, fmt.Errorf("--http-port %s: want PORT or NAME=PORT, a port is 1 to 65535", word)
		case named:
			byName[name] = int(port)
		case all != 0:
			return 0, nil, fmt.Errorf("--http-port: %d and %d are both for all workers; write NAME=PORT", all, port)
		default:
			all = int(port)
		}
	}
	return all, byName, nil
}

// imported is what an import prints as JSON and YAML.
type imported struct {
	*entries.Report
	Changes  []migrate.Change `json:"changes,omitempty"`
	Revision *uint64          `json:"revision,omitempty"`
	// Plan is what the group says would become of it.
	Plan *client.Plan `json:"plan,omitempty"`
}

func (j *importJob) run(cmd *cobra.Command, files []string) error {
	j.files, j.listenSet = files, cmd.Flags().Changed("listener")
	if err := j.check(cmd); err != nil {
		return err
	}
	if j.watch {
		return j.runWatch(cmd)
	}
	data, err := j.readFiles()
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	res := j.read(data)
	if res.Report.Failed() {
		return errors.Join(j.show(imported{Report: res.Report}, nil), failed(res.Report))
	}
	switch {
	case j.plan, j.apply:
		return j.intoGroup(cmd, res)
	case j.out != "":
		if err := j.g.writeOutput(j.out, res.Config.YAML()); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if j.out == "-" {
			return nil
		}
	}
	for _, text := range res.Config.Warnings() { // SUN-20, among others
		fmt.Fprintf(j.g.err, "warning: %s\n", clean(text))
	}
	return j.show(imported{Report: res.Report}, nil)
}

// check refuses flags that contradict each other.
func (j *importJob) check(cmd *cobra.Command) error {
	if err := j.g.checkOutput(cmd); err != nil {
		return err
	}
	if j.watch {
		j.apply = false // --watch applies, too
	}
	var asked []string
	for name, set := range map[string]bool{"--plan": j.plan, "--apply": j.apply, "--watch": j.watch, "--out": j.out != ""} {
		if set {
			asked = append(asked, name)
		}
	}
	slices.Sort(asked)
	stdin := 0
	for _, f := range j.files {
		if f == "-" {
			stdin++
		}
	}
	switch {
	case len(asked) > 1:
		return usagef(cmd, "%s exclude each other", strings.Join(asked, " and "))
	case j.interval != 0 && !j.watch:
		return usagef(cmd, "--interval is for --watch")
	case j.interval != 0 && j.interval < time.Second:
		return usagef(cmd, "--interval %v: want 1s or more", j.interval)
	case j.replace && !j.plan && !j.apply && !j.watch:
		return usagef(cmd, "--replace is for --plan, --apply and --watch")
	case stdin > 0 && j.watch:
		return usagef(cmd, "standard input cannot be watched; name a file")
	case stdin > 1:
		return usagef(cmd, "standard input can be one of the files")
	}
	return j.g.checkApplied(cmd, &j.wait)
}

func (j *importJob) readFiles() ([][]byte, error) {
	var all [][]byte
	for _, name := range j.files {
		data, err := j.g.readInput(name, markup.MaxInput)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// failed is the error of a report that has some.
func failed(r *entries.Report) error {
	return fmt.Errorf("nothing was changed: %s in error", count(r.Count(entries.Error), "line"))
}
