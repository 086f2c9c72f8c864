package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func TestDNSThatIsNotTheSameIsAProblem(t *testing.T) {
	zone := func(name string, ttl int) *admin.DNSZone {
		return &admin.DNSZone{Name: name, TTL: time.Duration(ttl) * time.Second}
	}
	for name, c := range map[string]struct {
		zones [3]*admin.DNSZone
		want  []string
	}{
		"none":       {[3]*admin.DNSZone{}, nil},
		"the same":   {[3]*admin.DNSZone{zone("lb.example", 2), zone("lb.example", 2), zone("lb.example", 2)}, nil},
		"zones":      {[3]*admin.DNSZone{zone("lb.example", 2), zone("lc.example", 2), zone("lb.example", 2)}, []string{"nodes answer DNS differently: n1 lb.example (2 s), n2 lc.example (2 s), n3 lb.example (2 s)"}},
		"ttl":        {[3]*admin.DNSZone{zone("lb.example", 2), zone("lb.example", 2), zone("lb.example", 5)}, []string{"n3 lb.example (5 s)"}},
		"one hasn't": {[3]*admin.DNSZone{zone("lb.example", 2), nil, zone("lb.example", 2)}, []string{"node n2 was started without --dns-zone"}},
	} {
		r := newRig(t)
		r.node.members = threeNodes()
		for i := range r.node.members {
			r.node.members[i].DNS = c.zones[i]
		}
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		all := strings.Join(s.Problems, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: the problems do not say %q:\n%s", name, want, all)
			}
		}
		if c.want == nil && strings.Contains(all, "DNS") {
			t.Errorf("%s:\n%s", name, all)
		}
	}
}

// TestAFullDiskIsAProblem: at once, by name, and not as a lack of a majority.
func TestAFullDiskIsAProblem(t *testing.T) {
	const full = "its disk is full: 3 MiB are free, 64 MiB should be; free some room below /var/lib/holdfast, and it goes on by itself"
	for name, c := range map[string]struct {
		full   []int
		cause  string
		quorum bool
		want   []string
		not    string
	}{
		"one":            {[]int{1}, "", true, []string{"node n2: " + full}, "no room"},
		"one, behind":    {[]int{1}, "disk-full", true, []string{"node n2 is in quarantine (disk-full)", full}, "stuck"},
		"two":            {[]int{1, 2}, "", false, []string{"no room: the disks of nodes n2, n3 are full", "node n2: " + full, "node n3: " + full}, "no quorum"},
		"one and a half": {[]int{1, 2}, "diverged", false, []string{"no room", "in quarantine (diverged)", "node n3: " + full}, "no quorum"},
	} {
		r := newRig(t)
		r.node.members = threeNodes()
		for _, i := range c.full {
			m := &r.node.members[i]
			m.Disk, m.NoRoom = full, true
			if c.cause != "" {
				m.Quarantine = &admin.Quarantine{Cause: c.cause, Text: full}
			}
		}
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		all := strings.Join(s.Problems, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: the problems do not say %q:\n%s", name, want, all)
			}
		}
		if strings.Contains(all, c.not) {
			t.Errorf("%s: the problems say %q:\n%s", name, c.not, all)
		}
		if c.cause == "disk-full" && strings.Count(all, full) != 1 {
			t.Errorf("%s: said twice:\n%s", name, all)
		}
	}
}
