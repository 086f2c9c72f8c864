package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// HealthURL appends a health path to a listener URL (SUN-09): http://www.example.com:80 and /fortune give
// http://www.example.com:80/fortune. The listener is a URL of an instance, the path begins with / and may have a query.
func HealthURL(listener, path string) (string, error) {
	base, _, err := parseEndpoint(listener)
	if err == nil && !strings.HasPrefix(base, "http") {
		err = errors.New("must begin with http:// or https://")
	}
	if err != nil {
		return "", fmt.Errorf("health URL: listener %q: %w", clip(listener), err)
	}
	if err := checkHealthPath(path); err != nil {
		return "", fmt.Errorf("health URL: path %q: %w", clip(path), err)
	}
	return base + path, nil
}

// schemes are those that listener URLs may have.
var schemes = []string{"http", "https", "tcp", "udp"}

// parseEndpoint checks a listener URL of an instance. It gives the URL in its one spelling (lower case, no slash at the
// end) and host:port, which is what must not be there twice.
func parseEndpoint(text string) (canonical, hostPort string, err error) {
	if len(text) > 300 {
		return "", "", errors.New("more than 300 characters")
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || !slices.Contains(schemes, scheme) {
		return "", "", errors.New("must begin with http://, https://, tcp:// or udp://")
	}
	// Taken apart by hand first: net/url is lenient (fragments, escapes), and an error of its own would quote a password.
	switch {
	case strings.Contains(rest, "@"):
		return "", "", errors.New("must not have a user or a password")
	case strings.ContainsAny(rest, "?#"):
		return "", "", errors.New("must not have a query or a fragment")
	}
	rest = strings.TrimSuffix(rest, "/")
	if strings.Contains(rest, "/") {
		return "", "", errors.New("must not have a path; paths are what modules and the health check are for")
	}
	host, port, err := splitHostPort(rest)
	if err != nil {
		return "", "", err
	}
	if host == "" {
		return "", "", errors.New("has no host")
	}
	hostPort = net.JoinHostPort(host, port)
	canonical = scheme + "://" + hostPort
	if u, err := url.Parse(canonical); err != nil || u.Host != hostPort {
		return "", "", errors.New("is not a URL")
	}
	return canonical, hostPort, nil
}

// splitHostPort checks both parts of host:port and gives them in their one spelling; the host may be empty.
func splitHostPort(text string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(text)
	if err != nil {
		return "", "", errors.New("must be HOST:PORT, an IPv6 host in [brackets]")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port != strconv.FormatUint(number, 10) {
		return "", "", fmt.Errorf("port %q must be a number from 1 to 65535", clip(port))
	}
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" || !strings.HasPrefix(text, "[") {
			return "", "", fmt.Errorf("%q is not an IPv6 address", clip(host))
		}
		return ip.String(), port, nil
	}
	if strings.HasPrefix(text, "[") {
		return "", "", errors.New("only an IPv6 address stands in brackets")
	}
	host = strings.ToLower(host)
	if host != "" && !validHost(host) {
		return "", "", fmt.Errorf("%q is not a host name or an IP address", clip(host))
	}
	return host, port, nil
}

// validHost takes DNS names (RFC 1123 2.1, and _ since it is in use) and IPv4 addresses, in lower case, without a dot
// at the end. Names of other scripts are to be given in their xn-- form, as they appear in requests.
func validHost(host string) bool {
	if len(host) == 0 || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	// A last label of digits makes it an address (RFC 1123 2.1), so it must be a right one.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return true
}
