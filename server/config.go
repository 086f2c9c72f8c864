package server

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/discovery"
	"github.com/holdfast-lb/holdfast/server/handoff"
	"github.com/holdfast-lb/holdfast/server/tracing"
	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/vip"
)

// Config is what one node is told about itself. Group settings are not here: they are replicated.
type Config struct {
	// Name is the node's name in its group; it never changes. Default: the host name.
	Name string
	// DataDir holds everything that must survive a restart.
	DataDir string
	// Group, when not empty, is the name that the group must have; --bootstrap gives it to a new one (default there: holdfast).
	Group string
	// Zone is the failure domain that the node reports.
	Zone string
	// PeerAddr is where the node takes connections of other nodes, HOST:PORT or :PORT; with HOST:LOW-HIGH it takes the first port of those that is free.
	PeerAddr string
	// Advertise is the address that other nodes dial; default: PeerAddr, or the machine's only address. Port 0 stands for the one that was taken of a range.
	Advertise string
	// AdminAddr is where the admin API, the health checks and the metrics are served.
	AdminAddr string
	// BindAddress is the host that listeners without one bind to; empty means all addresses.
	BindAddress string
	// Join lists peer addresses of nodes, HOST:PORT.
	Join []string
	// Discover, when not empty, has the node look for others on the local network: multicast[=GROUPIP:PORT][@INTERFACE].
	Discover string
	// HookDir holds the programs that workflows may run on this node; empty: none. An absolute path that nobody but its owner can write to.
	HookDir string
	// JoinToken is an init string (hfi1.…) or a join token (hfj1.…).
	JoinToken string
	// JoinTokenFile names a file that holds it, instead.
	JoinTokenFile string
	// ReadOnly has the node serve without a vote: it never leads and never holds a virtual address.
	ReadOnly bool
	// Bootstrap founds a group of one; BootstrapExpect founds it with so many nodes that start together.
	Bootstrap       bool
	BootstrapExpect int
	// Timing is lan, wan or fast.
	Timing string
	// VIPs are virtual addresses that this node can hold, CIDR@IFACE; the same on every node but for the interface.
	VIPs []string
	// VIPHook, when not empty, is a program that is run with taken or dropped when this node begins or ceases to hold. Without VIPs it is all that holds.
	VIPHook string
	// holding stands in for Server.hold in tests, which have no machine of their own to hold addresses on.
	holding func(addrs []vip.Address) (holding, error)
	// steady stands in for raftnode.DefaultSteady in tests.
	steady time.Duration
	// patience stands in for copiesPatience in tests.
	patience time.Duration
	// DNSAddr, when not empty, is where the node answers for DNSZone, HOST:PORT, UDP and TCP.
	DNSAddr, DNSZone string
	// DNSAddresses are the addresses of this node in those answers; default: BindAddress, or the host of the address that other nodes dial.
	DNSAddresses []string
	// DNSTTL is how long others may keep an answer, 1s to 5s.
	DNSTTL time.Duration
	// BackupTo, when not empty, is where this node puts the backups of the group's schedule: a directory, or s3://BUCKET/PREFIX. One of the nodes that have it
	// makes one every BackupEvery (at least 1m); BackupKeep of those that the schedule made stay, 0: all.
	BackupTo    string
	BackupEvery time.Duration
	BackupKeep  int
	// S3Endpoint is the URL of the S3-compatible store; empty: what the environment says, else that of AWS.
	S3Endpoint string
	// MaxJoinSkew is how far the clock of a node that wants to join may be off while this node leads (2s); negative: any.
	MaxJoinSkew time.Duration
	// LogLevel is debug, info, warn or error; LogFormat is text or json.
	LogLevel, LogFormat string
	// AccessLog is a path, "-" for standard output, or empty for none.
	AccessLog string
	// LogLost, when not nil, tells how many lines of the node's own log nobody has taken.
	LogLost func() uint64
	// Trace says where spans of requests go; without a protocol nothing is traced.
	Trace tracing.Settings
	// TLSDir holds the node's key and certificates; default: tls below DataDir.
	TLSDir string
	// Version is the version of the program.
	Version string
	// Self is how this process was started, for the one that takes over from it; without a path it cannot be upgraded in place.
	Self handoff.Program
	// Sockets were open before this process; nil: none. Heir is set when it takes over from another process of this node.
	Sockets *handoff.Sockets
	Heir    *handoff.Heir
	// Succeeded, when not nil, is called with the id of the process that has taken over from this one.
	Succeeded func(pid int)
}

// Defaults gives the settings that a node has without any flag.
func Defaults() Config {
	return Config{
		DataDir:     "/var/lib/holdfast",
		PeerAddr:    ":7701",
		AdminAddr:   "127.0.0.1:7700",
		Timing:      "lan",
		DNSTTL:      2 * time.Second,
		BackupEvery: time.Hour,
		BackupKeep:  24,
		MaxJoinSkew: raftnode.DefaultMaxJoinSkew,
		LogLevel:    "info",
		LogFormat:   "text",
		Trace:       tracing.Settings{Sample: -1, Trust: "proxies"},
		Version:     "dev",
	}
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62})$`)

// Validate reports everything that is wrong with the settings at once, each with what to do.
func (c Config) Validate() error {
	var errs []error
	bad := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	oneOf := func(flag, value string, legal ...string) {
		if !slices.Contains(legal, value) {
			bad(flag, "%q is none of %s", value, strings.Join(legal, ", "))
		}
	}
	hostPort := func(flag, value string, needHost bool) {
		host, port, err := net.SplitHostPort(value)
		switch {
		case err != nil:
			bad(flag, "%q is not HOST:PORT: %v", value, err)
		case port == "":
			bad(flag, "%q has no port", value)
		case needHost && host == "":
			bad(flag, "%q has no host", value)
		default:
			if _, err := net.LookupPort("tcp", port); err != nil {
				bad(flag, "%q: %q is not a port", value, port)
			}
		}
	}
	if !nodeName.MatchString(c.Name) {
		bad("name", "%q is not a node name: 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit", c.Name)
	}
	if c.Group != "" && !nodeName.MatchString(c.Group) {
		bad("group", "%q is not a group name: the same rules as for a node's name", c.Group)
	}
	if c.DataDir == "" {
		bad("data-dir", "is empty: name the directory that keeps the node's state")
	}
	if isPortRange(c.PeerAddr) {
		if err := c.validatePeerPort(); err != nil {
			errs = append(errs, err)
		}
	} else {
		hostPort("peer-addr", c.PeerAddr, false)
	}
	hostPort("admin-addr", c.AdminAddr, false)
	if c.Advertise != "" {
		hostPort("advertise", c.Advertise, true)
	}
	for _, peer := range c.Join {
		hostPort("join", peer, true)
	}
	if c.BindAddress != "" && net.ParseIP(c.BindAddress) == nil {
		bad("bind-address", "%q is not an IP address", c.BindAddress)
	}
	oneOf("timing", c.Timing, "lan", "wan", "fast")
	oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("log-format", c.LogFormat, "text", "json")
	if c.Discover != "" {
		if _, err := discovery.ParseSpec(c.Discover); err != nil {
			bad("discover", "%v", err)
		}
	}
	if err := checkHookDir(c.HookDir); err != nil {
		bad("hook-dir", "%v", err)
	}
	errs = append(errs, c.validateAddresses()...)
	errs = append(errs, c.validateBackup()...)
	errs = append(errs, c.validateFounding()...)
	errs = append(errs, c.Trace.Validate()...)
	return errors.Join(errs...)
}

// validateFounding checks how the node is to come to its group.
func (c Config) validateFounding() (errs []error) {
	if c.ReadOnly && (c.Bootstrap || c.BootstrapExpect > 0) {
		errs = append(errs, errors.New("--read-only excludes --bootstrap and --bootstrap-expect: a node without a vote founds no group, it joins one"))
	}
	if c.ReadOnly && (len(c.VIPs) > 0 || c.VIPHook != "") {
		errs = append(errs, errors.New("--read-only excludes --vip and --vip-hook: a node without a vote never leads, so it never holds a virtual address"))
	}
	switch {
	case c.BootstrapExpect < 0 || c.BootstrapExpect > 9:
		errs = append(errs, fmt.Errorf("--bootstrap-expect: %d nodes make no group: name 1 to 9, best 3 or 5", c.BootstrapExpect))
	case c.Bootstrap && c.BootstrapExpect > 0:
		errs = append(errs, errors.New("--bootstrap and --bootstrap-expect exclude each other: one node founds the group alone, or all of them together"))
	case c.Bootstrap && len(c.Join) > 0:
		errs = append(errs, errors.New("--bootstrap and --join exclude each other: a node that founds a group joins none"))
	case c.BootstrapExpect > 1 && len(c.Join) == 0 && c.Discover == "":
		errs = append(errs, errors.New("--bootstrap-expect needs --join with the peer addresses of the other nodes, or --discover multicast to look for them"))
	default:
		told, err := c.withToken()
		if err == nil && c.BootstrapExpect > 0 {
			err = told.validateInit()
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// known tells whether the data directory is already that of a node: it has its certificate, and no use for an init string, which is to be deleted when the group runs. What cannot be read is said when it is opened.
func (c Config) known() bool {
	_, named, err := storage.IdentityOf(c.DataDir)
	return named || err != nil
}

// Advertised is the address that other nodes dial, as it follows from the settings and the addresses of this machine.
func (c Config) Advertised() (string, error) { return c.advertise(net.InterfaceAddrs) }

// advertise gives the address that other nodes dial. A wildcard is no address to dial, so without --advertise the machine must have
// exactly one address that can be meant.
func (c Config) advertise(interfaceAddrs func() ([]net.Addr, error)) (string, error) {
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	host, port, err := net.SplitHostPort(c.PeerAddr)
	if err != nil {
		return "", fmt.Errorf("peer address: %w", err)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return c.PeerAddr, nil
	}
	addrs, err := interfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("addresses of this machine: %w", err)
	}
	var candidates []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			candidates = append(candidates, n.IP.String())
		}
	}
	if len(candidates) == 1 {
		return net.JoinHostPort(candidates[0], port), nil
	}
	return "", fmt.Errorf("--peer-addr %s says no address that other nodes can dial, and this machine has %d that could be meant (%s): name one with --advertise HOST:PORT",
		c.PeerAddr, len(candidates), strings.Join(candidates, ", "))
}
