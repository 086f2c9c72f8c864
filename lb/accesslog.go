package lb

import (
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logDelay is how long a line waits for others at most.
	logDelay = 50 * time.Millisecond
	// logBatch is how many bytes go out at once, logWaiting how many wait before lines are lost.
	logBatch   = 32 << 10
	logWaiting = 8 << 20
)

// accessLog gathers lines and writes many at once. Nobody takes a lock to add one: there are a few buffers, whoever has a line takes one out, adds the line and puts
// the buffer back; one that is full goes onto a stack. A goroutine of its own writes what there is.
type accessLog struct {
	out     io.Writer // nil: no log
	node    string
	slots   []atomic.Pointer[logBuffer]
	full    atomic.Pointer[logBuffer] // the last one of those that are full
	waiting atomic.Int64              // bytes that are not written yet
	lost    atomic.Uint64             // lines
	told    atomic.Bool               // the writer knows that there is something
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

// logBuffer holds whole lines.
type logBuffer struct {
	next  *logBuffer // that was full before this one
	lines []byte
}

var logBuffers = sync.Pool{New: func() any { return &logBuffer{lines: make([]byte, 0, logBatch+4<<10)} }}

func newAccessLog(out io.Writer, node string) *accessLog {
	l := &accessLog{out: out, node: node}
	if out == nil {
		return l
	}
	l.slots = make([]atomic.Pointer[logBuffer], 2*runtime.GOMAXPROCS(0))
	l.wake, l.quit, l.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	return l
}

// add appends the line that write adds to a buffer. Any goroutine may call it.
func (l *accessLog) add(write func([]byte) []byte) {
	if l.waiting.Load() > logWaiting {
		l.lost.Add(1)
		return
	}
	slot := &l.slots[rand.IntN(len(l.slots))]
	b := slot.Swap(nil)
	if b == nil {
		b = logBuffers.Get().(*logBuffer)
	}
	before := len(b.lines)
	b.lines = write(b.lines)
	l.waiting.Add(int64(len(b.lines) - before))
	if len(b.lines) >= logBatch || !slot.CompareAndSwap(nil, b) {
		for {
			b.next = l.full.Load()
			if l.full.CompareAndSwap(b.next, b) {
				break
			}
		}
	}
	if !l.told.Load() && !l.told.Swap(true) { // after the buffer is back: the writer finds it
		select {
		case l.wake <- struct{}{}:
		default: // it is awake, or has ended
		}
	}
}

// run writes until close.
func (l *accessLog) run() {
	if l.out == nil {
		return
	}
	defer close(l.done)
	for {
		select {
		case <-l.wake:
			wait := time.NewTimer(logDelay)
			select {
			case <-wait.C:
			case <-l.quit:
				wait.Stop()
			}
			l.flush()
		case <-l.quit:
			l.flush()
			return
		}
	}
}

// flush writes what there is, the oldest first as far as that is known.
func (l *accessLog) flush() {
	l.told.Store(false)
	var list *logBuffer
	for b := l.full.Swap(nil); b != nil; {
		next := b.next
		b.next, list = list, b
		b = next
	}
	for b := list; b != nil; {
		next := b.next
		l.write(b)
		b = next
	}
	for i := range l.slots {
		if b := l.slots[i].Swap(nil); b != nil {
			l.write(b)
		}
	}
}

func (l *accessLog) write(b *logBuffer) {
	l.out.Write(b.lines) // a full disk must not stop traffic
	l.waiting.Add(-int64(len(b.lines)))
	if cap(b.lines) > 4*logBatch {
		return
	}
	b.next, b.lines = nil, b.lines[:0]
	logBuffers.Put(b)
}

// close writes what is left. No line may come after it.
func (l *accessLog) close() {
	if l.out != nil {
		close(l.quit)
		<-l.done
	}
}

// log adds the line of a request that is over.
func (l *accessLog) log(x *exchange, took time.Duration) {
	if l.out == nil {
		return
	}
	f := x.edge.log
	if !f.wants(x.status, x.problem != "") {
		return
	}
	e := logEntry{
		time: x.start, node: l.node, listener: x.edge.listener, client: x.client.name, peer: x.client.peer, method: x.r.Method, host: x.r.Host, path: withoutParams(x.r.URL.EscapedPath()),
		proto: x.r.Proto, scheme: x.client.scheme, status: x.status, bytes: x.sent, took: took, assigned: x.assigned, lost: x.lost, retries: x.retries, problem: x.problem,
		requestID: x.requestID, userAgent: x.userAgent, referer: x.referer, received: x.received,
		traceID: x.trace.traceID(),
	}
	if x.streamsTo != "" {
		e.method, e.path, e.scheme = "-", "-", strings.ToLower(x.r.Proto)
	}
	if x.coding != codingNone {
		e.encoding = codingNames[x.coding]
	}
	if x.mod != nil {
		e.cluster = x.mod.cluster.name
	}
	if x.in != nil {
		e.instance = x.in.name
	}
	l.add(func(b []byte) []byte { return f.line(b, &e) })
}
