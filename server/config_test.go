package server

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
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
