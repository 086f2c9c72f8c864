package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long after the acknowledgement of a change another node may still act by the old configuration: it applies entries within
// milliseconds, but the machine may be busy.
const grace = 2 * time.Second

// Target is one module of one cluster, reached through all nodes.
type Target struct {
	Cluster string
	Path    string
	// Nodes are host:port of the nodes' listeners.
	Nodes []string
}

// Crowd is a number of sticky clients that go on asking, and note what breaks the rule.
type Crowd struct {
	fate    *Fate
	targets []Target
	client  *http.Client

	clients []*client
	Asked   atomic.Int64
	Moved   atomic.Int64

	mu     sync.Mutex
	broken []string
}

type client struct {
	mu       sync.Mutex // one request of a client at a time
	target   *Target
	cookies  map[string]string
	instance string
	asked    time.Time // when the request was sent that instance answered last
}

// NewCrowd makes n clients of the targets, in turn. They have no sessions yet.
func NewCrowd(fate *Fate, targets []Target, n int) *Crowd {
	c := &Crowd{fate: fate, targets: targets, client: &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	for i := range n {
		c.clients = append(c.clients, &client{target: &c.targets[i%len(targets)], cookies: map[string]string{}})
	}
	return c
}

// Close closes the connections.
func (c *Crowd) Close() { c.client.CloseIdleConnections() }

// All lets every client ask once, through a drawn node; workers at once.
func (c *Crowd) All(ctx context.Context, workers int, random *rand.Rand) {
	seeds := make([]uint64, workers)
	for i := range seeds {
		seeds[i] = random.Uint64()
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(seeds[i], 1))
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(c.clients) {
					return
				}
				c.ask(ctx, c.clients[n], draw)
			}
		})
	}
	all.Wait()
}

// Run lets drawn clients ask until ctx ends, workers at once and each at most every pause.
func (c *Crowd) Run(ctx context.Context, workers int, pause time.Duration, seed uint64) {
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(seed, uint64(i)))
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				c.ask(ctx, c.clients[draw.IntN(len(c.clients))], draw)
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// ask sends one request of a client and holds the answer against the rule.
func (c *Crowd) ask(ctx context.Context, cl *client, draw *rand.Rand) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	node := cl.target.Nodes[draw.IntN(len(cl.target.Nodes))]
	asked := time.Now()
	instance, err := c.once(ctx, cl, node, cl.target.Path)
	if ctx.Err() != nil {
		return
	}
	c.Asked.Add(1)
	if err != nil {
		c.breaks("client of %s through %s: %v", cl.target.Cluster, node, err)
		return
	}
	if out := c.fate.stoppedFor(cl.target.Cluster, instance, asked); out > grace {
		c.breaks("instance %s of %s answered %v after it was stopped", instance, cl.target.Cluster, out)
	}
	if cl.instance != "" && instance != cl.instance {
		c.Moved.Add(1)
		if !c.fate.mayHaveLeft(cl.target.Cluster, cl.instance, cl.asked) {
			c.breaks("a session of %s went from %s to %s through %s, and no change has named %s since its last answer",
				cl.target.Cluster, cl.instance, instance, node, cl.instance)
		}
	}
	cl.instance, cl.asked = instance, asked
}

// One sends one request of some client that is on the instance, through the node and for the path, and gives the instance that answered. It is not held
// against the rule.
func (c *Crowd) One(ctx context.Context, instance, node, path string) (string, error) {
	for _, cl := range c.clients {
		cl.mu.Lock()
		if cl.instance == instance {
			defer cl.mu.Unlock()
			return c.once(ctx, cl, node, path)
		}
		cl.mu.Unlock()
	}
	return "", fmt.Errorf("no client is on %s", instance)
}

func (c *Crowd) once(ctx context.Context, cl *client, node, path string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node+path, nil)
	if err != nil {
		return "", err
	}
	for name, value := range cl.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	var answer struct {
		Instance string `json:"instance"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Instance == "" {
		return "", fmt.Errorf("answer %.100q", body)
	}
	for _, cookie := range resp.Cookies() {
		cl.cookies[cookie.Name] = cookie.Value
	}
	return answer.Instance, nil
}

// Places gives the instance of each client, in the order of the clients; empty before its first answer.
func (c *Crowd) Places() []string {
	list := make([]string, len(c.clients))
	for i, cl := range c.clients {
		cl.mu.Lock()
		list[i] = cl.instance
		cl.mu.Unlock()
	}
	return list
}

func (c *Crowd) breaks(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// Broken lists what broke the rule.
func (c *Crowd) Broken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.broken...)
}
