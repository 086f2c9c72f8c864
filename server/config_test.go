package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/storage"
)

func valid() Config {
	c := Defaults()
	c.Name = "n1"
	return c
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	c := valid()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.PeerAddr != ":7701" || c.AdminAddr != "127.0.0.1:7700" || c.Timing != "lan" || c.LogFormat != "text" || c.MaxJoinSkew != 2*time.Second {
		t.Errorf("defaults: %+v", c)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no name":             {func(c *Config) { c.Name = "" }, "--name"},
		"path as name":        {func(c *Config) { c.Name = "../n1" }, "--name"},
		"long name":           {func(c *Config) { c.Name = strings.Repeat("n", 64) }, "--name"},
		"group":               {func(c *Config) { c.Group = "a b" }, "--group"},
		"data dir":            {func(c *Config) { c.DataDir = "" }, "--data-dir"},
		"peer without port":   {func(c *Config) { c.PeerAddr = "n1" }, "--peer-addr"},
		"peer empty port":     {func(c *Config) { c.PeerAddr = "n1:" }, "--peer-addr"},
		"port too large":      {func(c *Config) { c.AdminAddr = "127.0.0.1:70000" }, "--admin-addr"},
		"advertise no host":   {func(c *Config) { c.Advertise = ":7701" }, "--advertise"},
		"join no host":        {func(c *Config) { c.Join = []string{":7701"} }, "--join"},
		"bind address":        {func(c *Config) { c.BindAddress = "eth0" }, "--bind-address"},
		"timing":              {func(c *Config) { c.Timing = "slow" }, "--timing"},
		"log level":           {func(c *Config) { c.LogLevel = "loud" }, "--log-level"},
		"log format":          {func(c *Config) { c.LogFormat = "xml" }, "--log-format"},
		"both foundings":      {func(c *Config) { c.Bootstrap, c.BootstrapExpect = true, 1 }, "exclude"},
		"bootstrap and join":  {func(c *Config) { c.Bootstrap, c.Join = true, []string{"n2:1"} }, "exclude"},
		"expect without join": {func(c *Config) { c.BootstrapExpect, c.JoinToken = 3, "hfi1.x" }, "needs --join"},
		"expect without init": {func(c *Config) { c.BootstrapExpect, c.Join = 3, []string{"n2:1"} }, "init string"},
		"discover":            {func(c *Config) { c.Discover = "broadcast" }, "--discover"},
		"discover address":    {func(c *Config) { c.Discover = "multicast=10.0.0.1:7" }, "no IPv4 multicast address"},
		"hook dir relative":   {func(c *Config) { c.HookDir = "hooks" }, "--hook-dir"},
		"hook dir missing":    {func(c *Config) { c.HookDir = "/no/such/dir" }, "--hook-dir"},
		"hook dir is a file":  {func(c *Config) { c.HookDir = "/etc/hosts" }, "is not a directory"},
		"hook dir for all":    {func(c *Config) { c.HookDir = "/tmp" }, "chmod go-w"},
		"dns address alone":   {func(c *Config) { c.DNSAddresses = []string{"192.0.2.1"} }, "--dns-zone, which is missing"},
		"expect negative":     {func(c *Config) { c.BootstrapExpect = -1 }, "--bootstrap-expect"},
	} {
		t.Run(name, func(t *testing.T) {
			config := valid()
			c.change(&config)
			if err := config.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestValidateReportsAllFaultsAtOnce(t *testing.T) {
	c := valid()
	c.Name, c.Timing, c.LogLevel = "", "slow", "loud"
	err := c.Validate()
	for _, flag := range []string{"--name", "--timing", "--log-level"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%v does not name %s", err, flag)
		}
	}
}

func TestAdvertise(t *testing.T) {
	addrs := func(list ...string) func() ([]net.Addr, error) {
		return func() (out []net.Addr, _ error) {
			for _, a := range list {
				ip, n, err := net.ParseCIDR(a)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, &net.IPNet{IP: ip, Mask: n.Mask})
			}
			return out, nil
		}
	}
	for name, c := range map[string]struct {
		peer, advertise string
		machine         []string
		want            string // empty: refused
	}{
		"explicit":      {":7701", "n1:99", nil, "n1:99"},
		"specific host": {"127.0.0.2:7701", "", nil, "127.0.0.2:7701"},
		"host name":     {"n1:7701", "", nil, "n1:7701"},
		"only address":  {":7701", "", []string{"127.0.0.1/8", "198.51.100.7/24", "fe80::1/64"}, "198.51.100.7:7701"},
		"wildcard":      {"0.0.0.0:7701", "", []string{"198.51.100.7/24"}, "198.51.100.7:7701"},
		"two addresses": {":7701", "", []string{"198.51.100.7/24", "203.0.113.9/24"}, ""},
		"loopback only": {":7701", "", []string{"127.0.0.1/8"}, ""},
		"ipv6 wildcard": {"[::]:7701", "", []string{"127.0.0.1/8"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := valid()
			config.PeerAddr, config.Advertise = c.peer, c.advertise
			got, err := config.advertise(addrs(c.machine...))
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), "--advertise") {
				t.Errorf("%v does not say what to do", err)
			}
		})
	}
}

func TestDiscoverStandsInForJoin(t *testing.T) {
	c := valid()
	c.BootstrapExpect, c.JoinToken, c.Discover, c.HookDir = 3, "hfi1.x", "multicast", t.TempDir()
	if err := os.Chmod(c.HookDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// TestInitStringIsForTheFirstStart: who has deleted it, as is said everywhere, starts the node again with the flags that it had.
func TestInitStringIsForTheFirstStart(t *testing.T) {
	c := valid()
	c.DataDir, c.BootstrapExpect, c.Join = filepath.Join(t.TempDir(), "n1"), 3, []string{"n2:1"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "init string") {
		t.Errorf("without a data directory: %v", err)
	}
	d, err := storage.Open(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.SetIdentity(storage.Identity{Name: "n1", NodeID: "7f8a2c1e-0000-4000-8000-000000000001", GroupID: "7f8a2c1e-0000-4000-8000-000000000002", Epoch: 1}), d.Close()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("on the disk of a node: %v", err)
	}
}

func TestReadOnlyFoundsAndHoldsNothing(t *testing.T) {
	for flag, set := range map[string]func(*Config){
		"--bootstrap": func(c *Config) { c.Bootstrap = true }, "--bootstrap-expect": func(c *Config) { c.BootstrapExpect, c.JoinToken, c.Join = 3, "hfi1.x", []string{"a:1"} },
		"--vip": func(c *Config) { c.VIPs = []string{"10.0.0.100/24@eth0"} }, "--vip-hook": func(c *Config) { c.VIPHook = "/bin/true" },
	} {
		c := Defaults()
		c.Name = "n1"
		set(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s alone: %v", flag, err)
		}
		c.ReadOnly = true
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--read-only excludes") || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestBackupSettings(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"none":              {func(*Config) {}, ""},
		"a directory":       {func(c *Config) { c.BackupTo = "/backup" }, ""},
		"a bucket":          {func(c *Config) { c.BackupTo, c.S3Endpoint = "s3://backups/shop", "https://minio:9000" }, ""},
		"all stay":          {func(c *Config) { c.BackupTo, c.BackupKeep = "/backup", 0 }, ""},
		"too often":         {func(c *Config) { c.BackupTo, c.BackupEvery = "/backup", time.Minute-1 }, "--backup-every: 59.999999999s is too often: at least 1m0s"},
		"negative":          {func(c *Config) { c.BackupTo, c.BackupKeep = "/backup", -1 }, "--backup-keep: -1"},
		"no bucket":         {func(c *Config) { c.BackupTo = "s3://B" }, "--backup-to: \"B\" is no name of a bucket"},
		"one archive":       {func(c *Config) { c.BackupTo = "s3://backups/a.hfb" }, "--backup-to names one archive"},
		"a store of no URL": {func(c *Config) { c.BackupTo, c.S3Endpoint = "s3://backups", "minio:9000" }, "--s3-endpoint"},
		"a lone endpoint":   {func(c *Config) { c.S3Endpoint = "https://minio:9000" }, "--s3-endpoint is for --backup-to s3://BUCKET/PREFIX, which is missing"},
		"a useless one":     {func(c *Config) { c.BackupTo, c.S3Endpoint = "/backup", "https://minio:9000" }, "not for a directory"},
	} {
		c := Defaults()
		c.Name = "n1"
		tt.change(&c)
		err := c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	c := Defaults()
	c.Name, c.BackupTo = "n1", "s3://backups"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") {
		t.Error(err)
	}
}
