package server

import (
	"fmt"
	"net"
	"testing"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// TestGroupIsFoundedByDiscovery: three nodes that are told no address of another find each other and found the group. (TC-05)
func TestGroupIsFoundedByDiscovery(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	c.Close()
	g := startGroup(t, 3, func(c *Config) { c.Join, c.Discover = nil, fmt.Sprintf("multicast=239.255.77.2:%d", port) })
	for _, s := range g.servers {
		eventually(t, "all are members", func() error {
			if n := len(s.node.Members(t.Context())); n != 3 {
				return fmt.Errorf("%d members", n)
			}
			return nil
		})
	}
}

// TestToldGroup: before it has any state a node knows its group from the strings that it was started with.
func TestToldGroup(t *testing.T) {
	secret, err := pki.NewInit("shop", 3600e9, testTime)
	if err != nil {
		t.Fatal(err)
	}
	in, err := pki.ParseInit(secret, testTime)
	if err != nil {
		t.Fatal(err)
	}
	token := pki.JoinToken{GroupID: in.GroupID, ID: "t1", Expires: testTime.Add(3600e9)}.String()
	for name, c := range map[string]struct{ group, token, id, want string }{
		"init string": {"", secret, in.GroupID, "shop"}, "join token": {"", token, in.GroupID, ""}, "token and name": {"shop", token, in.GroupID, "shop"},
		"name": {"shop", "", "", "shop"}, "nothing": {"", "garbage", "", ""},
	} {
		if got := toldGroup(Config{Group: c.group, JoinToken: c.token}); got.ID != c.id || got.Name != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
