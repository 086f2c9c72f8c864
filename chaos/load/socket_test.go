package load

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// TestWhatComesOverWebSockets: another client's message is a broken promise, random bytes that happen to be a frame are a WebSocket that broke.
func TestWhatComesOverWebSockets(t *testing.T) {
	for name, c := range map[string]struct {
		greeting, first, second string // instead of what is right
		fails                   string
		crossed                 bool
		broken                  int64
	}{
		"all is right":             {},
		"a junk greeting":          {greeting: "\xdf\xfe", fails: `no greeting: "\xdf\xfe"`},
		"junk at once":             {first: "h\x00", fails: `no client's message: "h\x00" after "1-7"`},
		"junk later":               {second: "\x80", broken: 1},
		"another's message":        {first: "2-7", crossed: true},
		"another's later message":  {second: "2-7-again", crossed: true},
		"a message from before":    {second: "1-6", crossed: true},
		"the same message as once": {second: "1-7", crossed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each stays open for a while
			server := httptest.NewServer(websocket.Handler(func(socket *websocket.Conn) {
				instead := func(other, right string) {
					if other != "" {
						right = other
					}
					_ = websocket.Message.Send(socket, right)
				}
				instead(c.greeting, "instance1")
				for _, other := range []string{c.first, c.second} {
					var text string
					if websocket.Message.Receive(socket, &text) != nil {
						return
					}
					instead(other, text)
				}
			}))
			t.Cleanup(server.Close)
			target := Target{Node: "a", Addr: strings.TrimPrefix(server.URL, "http://")}
			l := New(Options{Targets: []Target{target}, Seed: 1, Attempt: 10 * time.Second})
			w := l.Worker()
			t.Cleanup(w.Close)
			answer, err := w.socket(&Session{Kind: Kind{Socket: "/ws"}}, target, "1-7")
			if c.fails != "" {
				if err == nil || err.Error() != c.fails {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || answer.Instance != "instance1" || answer.Crossed != c.crossed {
				t.Errorf("%+v, %v", answer, err)
			}
			if got := l.Record.Broken.Load(); got != c.broken {
				t.Errorf("%d broken", got)
			}
		})
	}
}
