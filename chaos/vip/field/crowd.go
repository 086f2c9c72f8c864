package field

import (
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/client"
	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// crowd is the clients of one round.
type crowd struct {
	probe   *client.Probe // every 5 ms: what outages are measured with
	fresh   *client.Probe // without a session
	six     *client.Probe // to the IPv6 address
	slow    *client.Probe // requests of a second each
	lasting *client.Lasting
}

// answers are what they got.
type answers struct {
	probe, fresh, six, slow, lasting measure.Requests
}

func (n *Network) crowd(f Fault, r Round) *crowd {
	dial := n.Dial()
	none := func(int) client.Ask { return client.Ask{Path: anyPath} }
	known := none
	if r.Sessions != nil {
		known = r.Sessions.Ask
	}
	pace := client.Pace{Every: 5 * time.Millisecond}
	seldom := client.Pace{Every: 20 * time.Millisecond}
	if r.Stampede {
		seldom.Connect, seldom.Request = 3*time.Second, 5*time.Second
		pace = seldom
	}
	c := &crowd{probe: client.StartProbe(dial, target(Address4), pace, known)}
	if r.Sessions != nil {
		c.fresh = client.StartProbe(dial, target(Address4), seldom, func(int) client.Ask { return client.Ask{Path: sessionPath} })
	}
	if r.IPv6 {
		c.six = client.StartProbe(dial, target(Address6), seldom, known)
	}
	if f.Planned {
		c.slow = client.StartProbe(dial, target(Address4), client.Pace{Every: 50 * time.Millisecond, Connect: seldom.Connect, Request: 5 * time.Second}, func(int) client.Ask { return client.Ask{Path: slowPath} })
		c.lasting = client.StartLasting(dial, target(Address4), 4, known)
	}
	return c
}

func (c *crowd) stop() (a answers) {
	a.probe = c.probe.Stop()
	if c.fresh != nil {
		a.fresh = c.fresh.Stop()
	}
	if c.six != nil {
		a.six = c.six.Stop()
	}
	if c.lasting != nil {
		a.lasting, _ = c.lasting.Stop()
	}
	if c.slow != nil {
		a.slow = c.slow.Stop()
	}
	return a
}
