package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
)

// patience is how long a user tries: longer than the restart of a whole group takes.
const patience = 30 * time.Second

const sessionPage = "/examples/servlets/servlet/SessionExample"

// user is one client of the session page. One goroutine at a time uses it.
type user struct {
	number int
	// cookieless users refuse cookies and follow the page's rewritten links instead (;jsessionid=).
	cookieless bool
	id         string // JSESSIONID
	jar        load.Jar
	attributes map[string]string // what the session must hold
	entry      *ledger.Entry
}

// page is what one answer of the session page says.
type page struct {
	instance string // by Tomcat's Server header
	id       string // the session id that the page shows
	body     string
}

var shownID = regexp.MustCompile(`Session ID: ([0-9A-F]{16,64}(?:\.[A-Za-z0-9_-]+)?)`)

// browser asks nodes, one after the other when one does not answer.
type browser struct {
	http    *http.Client
	nodes   []string // host:port
	retried int      // attempts that had to be repeated; atomic would do, but each goroutine has a browser of its own
}

func newBrowser(nodes []string) *browser {
	return &browser{
		nodes: nodes,
		http: &http.Client{
			Timeout:       20 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// visit asks for the user's page through a node; form is what is posted, nil for a GET.
func (b *browser) visit(ctx context.Context, u *user, node int, form url.Values) (page, error) {
	var errs []error
	deadline := time.Now().Add(patience)
	for attempt := 0; ; attempt++ {
		p, err := b.attempt(ctx, u, b.nodes[(node+attempt)%len(b.nodes)], form)
		if err == nil {
			return p, nil
		}
		if errs = append(errs, err); ctx.Err() != nil || time.Now().After(deadline) {
			break
		}
		b.retried++
		if attempt%len(b.nodes) == len(b.nodes)-1 {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return page{}, fmt.Errorf("user %d: no answer after %d attempts: %w", u.number, len(errs), errs[len(errs)-1])
}

func (b *browser) attempt(ctx context.Context, u *user, node string, form url.Values) (page, error) {
	address := "http://" + node + sessionPage
	if u.cookieless && u.id != "" {
		address += ";jsessionid=" + u.id
	}
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return page{}, err
	}
	request.Header.Set("Accept-Language", "en")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookies := u.jar.Header(); cookies != "" {
		request.Header.Set("Cookie", cookies)
	}
	response, err := b.http.Do(request)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return page{}, err
	}
	if response.StatusCode != http.StatusOK {
		return page{}, fmt.Errorf("status %d: %.200s", response.StatusCode, text)
	}
	shown := shownID.FindSubmatch(text)
	if shown == nil {
		return page{}, fmt.Errorf("no session id in the page: %.300s", text)
	}
	p := page{instance: response.Header.Get("Server"), id: string(shown[1]), body: string(text)}
	if p.instance == "" {
		return page{}, errors.New("no Server header: which instance answered?")
	}
	for _, header := range response.Header.Values("Set-Cookie") {
		if !u.cookieless {
			u.jar.Take(header)
		}
	}
	return p, nil
}

// missing names an attribute that the page should show and does not.
func (u *user) missing(p page) string {
	for name, value := range u.attributes {
		if !strings.Contains(p.body, name+" = "+value+"\n") {
			return name
		}
	}
	return ""
}
