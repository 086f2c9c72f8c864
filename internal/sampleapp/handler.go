package sampleapp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

const (
	maxSlow        = 60_000    // milliseconds
	maxStreamBytes = 64 << 20  // bytes in one answer of /stream
	maxUploadBytes = 512 << 20 // bytes in one body of /upload
)

// Answer is what every JSON answer contains.
type Answer struct {
	Instance string `json:"instance"`
	// Session is the application's own session id with its suffix, empty where the application keeps none.
	Session string `json:"session"`
	// Count is the number of requests of this session so far, this one included; 0 without a session.
	Count int `json:"count"`
	// New says that this request made the session.
	New bool `json:"new,omitempty"`
	// Nonce repeats the request's X-Nonce header, so that a client sees that the answer is its own.
	Nonce string `json:"nonce,omitempty"`
	// Bytes and SHA256 tell what /upload received.
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// Handler gives the application of one instance called name.
func Handler(name string) http.Handler {
	app := &app{name: name, suffixed: newSessions("." + name), plain: newSessions("")}
	// No Origin check: the sample has no secrets, and its clients are tests.
	app.sockets = websocket.Server{Handler: app.socket}
	mux := http.NewServeMux()
	mux.HandleFunc("/", app.echo)
	mux.HandleFunc("/learn", app.learn)
	mux.HandleFunc("/learn/", app.learn)
	mux.HandleFunc("/plain", app.learnPlain)
	mux.HandleFunc("/plain/", app.learnPlain)
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/slow", app.slow)
	mux.HandleFunc("/stream", app.stream)
	mux.HandleFunc("/upload", app.upload)
	mux.Handle("/ws", app.sockets)
	return mux
}

type app struct {
	name            string
	suffixed, plain *sessions
	sockets         websocket.Server
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, answer Answer) {
	answer.Instance = a.name
	answer.Nonce = r.Header.Get("X-Nonce")
	body, err := json.Marshal(answer)
	if err != nil {
		panic("BUG: an answer that is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Instance", a.name)
	_, _ = w.Write(body) // the client is gone: nothing to tell it
}

func (a *app) echo(w http.ResponseWriter, r *http.Request) {
	// The mux does not know path parameters: /learn;jsessionid=X is a path of its own to it.
	switch {
	case strings.HasPrefix(r.URL.Path, "/learn;"):
		a.learn(w, r)
	case strings.HasPrefix(r.URL.Path, "/plain;"):
		a.learnPlain(w, r)
	case strings.HasSuffix(r.URL.Path, "/ws"): // of whatever module
		a.sockets.ServeHTTP(w, r)
	case strings.HasSuffix(r.URL.Path, "/slow"):
		a.slow(w, r)
	default:
		a.answer(w, r, Answer{})
	}
}

func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	wait := time.NewTimer(time.Duration(number(r, "ms", 100, maxSlow)) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
		a.answer(w, r, Answer{})
	case <-r.Context().Done():
	}
}

func (a *app) stream(w http.ResponseWriter, r *http.Request) {
	chunk := make([]byte, number(r, "kb", 16, 1024)<<10)
	for i := range chunk {
		chunk[i] = 'a' + byte(i%26)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Instance", a.name)
	control := http.NewResponseController(w)
	left := maxStreamBytes
	for range number(r, "n", 8, 1<<20) {
		if left -= len(chunk); left < 0 {
			return
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
	}
}

func (a *app) upload(w http.ResponseWriter, r *http.Request) {
	sent, err := receive(w, r)
	if err != nil {
		http.Error(w, "upload: "+err.Error(), http.StatusBadRequest)
		return
	}
	a.answer(w, r, Answer{Bytes: sent.bytes, SHA256: sent.sum})
}

// received is what a body was.
type received struct {
	bytes int64
	sum   string
}

func receive(w http.ResponseWriter, r *http.Request) (received, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, http.MaxBytesReader(w, r.Body, maxUploadBytes))
	return received{n, hex.EncodeToString(sum.Sum(nil))}, err
}

func (a *app) socket(socket *websocket.Conn) {
	defer func() { _ = socket.Close() }()
	if err := websocket.Message.Send(socket, a.name); err != nil {
		return
	}
	for {
		var message string
		if err := websocket.Message.Receive(socket, &message); err != nil {
			return
		}
		if err := websocket.Message.Send(socket, message); err != nil {
			return
		}
	}
}

// number reads a query parameter between 0 and limit; what is missing or no number is the fallback.
func number(r *http.Request, name string, fallback, limit int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, limit)
}
