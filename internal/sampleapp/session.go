package sampleapp

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
)

// maxSessions bounds the memory of one instance.
const maxSessions = 1 << 20

// cookieName is what servlet containers use.
const cookieName = "JSESSIONID"

// sessions counts the requests of each session of one instance.
type sessions struct {
	suffix string // ".<instance name>", as a servlet container with a jvmRoute appends it, or empty

	mu    sync.Mutex
	count map[string]int // by id without suffix
}

func newSessions(suffix string) *sessions {
	return &sessions{suffix: suffix, count: map[string]int{}}
}

// visit counts a request with the presented id, or starts a session when the id is not known here. ok is false when the
// instance is full.
func (s *sessions) visit(presented string) (id string, count int, fresh, ok bool) {
	bare, _, _ := strings.Cut(presented, ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, known := s.count[bare]; known {
		s.count[bare] = n + 1
		return bare + s.suffix, n + 1, false, true
	}
	if len(s.count) >= maxSessions {
		return "", 0, false, false
	}
	bare = newID()
	s.count[bare] = 1
	return bare + s.suffix, 1, true, true
}

func newID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand, since Go 1.24)
	return strings.ToUpper(hex.EncodeToString(random[:]))
}

func (a *app) learn(w http.ResponseWriter, r *http.Request) { a.session(w, r, a.suffixed, "/learn") }

func (a *app) learnPlain(w http.ResponseWriter, r *http.Request) { a.session(w, r, a.plain, "/plain") }

func (a *app) session(w http.ResponseWriter, r *http.Request, known *sessions, contextRoot string) {
	var sent received
	if r.Method == http.MethodPost { // read before the request counts: one that was cut off has not been executed
		var err error
		if sent, err = receive(w, r); err != nil {
			http.Error(w, "upload: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	id, count, fresh, ok := known.visit(presentedID(r))
	if !ok {
		http.Error(w, "too many sessions", http.StatusServiceUnavailable)
		return
	}
	if fresh {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: contextRoot, HttpOnly: true})
	}
	a.answer(w, r, Answer{Session: id, Count: count, New: fresh, Bytes: sent.bytes, SHA256: sent.sum})
}

// presentedID takes the id from the cookie, else from the path parameter, as the servlet specification orders them.
func presentedID(r *http.Request) string {
	if cookie, err := r.Cookie(cookieName); err == nil {
		return cookie.Value
	}
	_, parameter, found := strings.Cut(r.URL.Path, ";jsessionid=")
	if !found {
		return ""
	}
	id, _, _ := strings.Cut(parameter, "/")
	return id
}
