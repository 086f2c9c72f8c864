package vip

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.100/24@eth0":        "10.0.0.100/24@eth0",
		"10.0.0.100@eth0":           "10.0.0.100/32@eth0",
		"10.0.0.0/31@eth0":          "10.0.0.0/31@eth0", // RFC 3021: both are hosts
		"10.0.0.0/32@eth0":          "10.0.0.0/32@eth0",
		"10.0.0.255/16@bond0.7":     "10.0.0.255/16@bond0.7",
		"2001:db8::100/64@br-lan":   "2001:db8::100/64@br-lan",
		"2001:DB8::0100@eth0":       "2001:db8::100/128@eth0",
		"2001:db8::/127@eth0":       "2001:db8::/127@eth0", // RFC 6164
		"fd00::1/1@a23456789012345": "fd00::1/1@a23456789012345",
	} {
		a, err := ParseAddress(in)
		if err != nil || a.String() != want {
			t.Errorf("%s: %v %v, want %s", in, a, err, want)
		}
	}
}

// TestAddressesThatNoHostMayHave: each refusal says what is wrong.
func TestAddressesThatNoHostMayHave(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "CIDR@IFACE",
		"10.0.0.100/24":                  "CIDR@IFACE",
		"eth0":                           "CIDR@IFACE",
		"@":                              "not the name of an interface",
		"10.0.0.100/24@":                 "not the name of an interface",
		"10.0.0.100/24@..":               "not the name of an interface",
		"10.0.0.100/24@a/b":              "not the name of an interface",
		"10.0.0.100/24@eth0:1":           "not the name of an interface",
		"10.0.0.100/24@eth 0":            "not the name of an interface",
		"10.0.0.100/24@eth0\n":           "not the name of an interface",
		"10.0.0.100/24@ethé":             "not the name of an interface",
		"10.0.0.100/24@a234567890123456": "not the name of an interface",
		"@eth0":                          "not an address",
		"10.0.0/24@eth0":                 "not an address",
		"10.0.0.100/33@eth0":             "not an address",
		"10.0.0.100/-1@eth0":             "not an address",
		"10.0.0.100/@eth0":               "not an address",
		"10.0.0.100/24/24@eth0":          "not an address",
		"10.0.0.100/255.255.255.0@e":     "not an address",
		"010.0.0.100/24@eth0":            "not an address",
		"localhost@eth0":                 "not an address",
		"2001:db8::1%eth0@eth0":          "has no zone",
		"fe80::1%eth0/64@eth0":           "has no zone",
		"fe80::1/64@eth0":                "link-local",
		"169.254.1.1/16@eth0":            "link-local",
		"127.0.0.1/8@lo":                 "loopback",
		"::1/128@lo":                     "loopback",
		"0.0.0.0/24@eth0":                "unspecified",
		"::/64@eth0":                     "unspecified",
		"224.0.0.1/24@eth0":              "multicast",
		"ff02::1/64@eth0":                "multicast",
		"0.1.2.3/24@eth0":                "reserved",
		"255.255.255.255/32@eth0":        "reserved",
		"240.0.0.1/24@eth0":              "reserved",
		"::ffff:10.0.0.1/120@eth0":       "10.0.0.1",
		"10.0.0.1/0@eth0":                "every address",
		"10.0.0.0/24@eth0":               "address of the network",
		"2001:db8::/64@eth0":             "address of the network",
		"10.0.0.255/24@eth0":             "broadcast",
	} {
		a, err := ParseAddress(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v, want %q", in, a, err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"10.0.0.100/24@eth0", "2001:db8::100/64@eth0", "10.0.0.100@eth0", "::ffff:10.0.0.1/120@eth0", "fe80::1%eth0/64@eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if !a.Prefix.IsValid() || a.Prefix.Bits() == 0 || a.Interface == "" || len(a.Interface) > maxInterface || strings.ContainsAny(a.Interface, "/: \n") {
			t.Fatalf("%q is %+v", s, a)
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Fatalf("%q is %v, which is %v %v", s, a, b, err)
		}
	})
}
