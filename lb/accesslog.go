package lb

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// accessLog writes one JSON line per request. Query, path parameters and cookies are left out: session ids may be in them.
type accessLog struct {
	mu   sync.Mutex
	out  io.Writer // nil: no log
	node string
}

type accessLine struct {
	Time     string  `json:"time"`
	Node     string  `json:"node"`
	Client   string  `json:"client"`
	Method   string  `json:"method"`
	Host     string  `json:"host"`
	Path     string  `json:"path"`
	Proto    string  `json:"proto"`
	Status   int     `json:"status"`
	Bytes    int64   `json:"bytes"`
	Millis   float64 `json:"ms"`
	Cluster  string  `json:"cluster,omitempty"`
	Instance string  `json:"instance,omitempty"`
	Assigned bool    `json:"assigned"`
	Lost     bool    `json:"lost,omitempty"`
	Retries  int     `json:"retries,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func (l *accessLog) log(x *exchange, took time.Duration) {
	if l.out == nil {
		return
	}
	line := accessLine{
		Time: x.start.UTC().Format("2006-01-02T15:04:05.000Z"), Node: l.node, Client: clientIP(x.r), Method: x.r.Method,
		Host: x.r.Host, Path: withoutParams(x.r.URL.EscapedPath()), Proto: x.r.Proto, Status: x.status, Bytes: x.sent,
		Millis: float64(took.Microseconds()) / 1000, Assigned: x.assigned, Lost: x.lost, Retries: x.retries, Error: x.problem,
	}
	if x.mod != nil {
		line.Cluster = x.mod.cluster.name
	}
	if x.in != nil {
		line.Instance = x.in.name
	}
	text, err := json.Marshal(line)
	if err != nil {
		return // strings and numbers always marshal
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Write(append(text, '\n')) // a full disk must not stop traffic
}
