package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxAgentLine bounds what an agent may say.
	maxAgentLine = 256
	// maxAgentPercent is HAProxy's bound. More than 100 % counts as 100 %.
	maxAgentPercent = 256
	// maxAgentReason bounds what is shown of an agent's own words.
	maxAgentReason = 80
)

// agentSays is what the agent of a listener's host has said. As with HAProxy's agent-check, "drain" and "maint" hold until "ready", "down"
// and its like until "up", and a percentage until the next one.
type agentSays struct {
	less   float64 // 1 - share, so that the zero value is the whole share
	drain  bool
	maint  string // the word, "" for none
	down   string
	reason string // the agent's own, of the last line
}

// agent keeps what an agent has said.
type agent struct {
	mu   sync.Mutex
	says agentSays
	mute string // why nothing can be made of it right now, "" while it is understood
	over bool   // nobody is asked any more: what is still under way counts for nothing
	// weighed is called after share or draining has changed; nil before the checks begin.
	weighed func()
}

func (a *agent) get() agentSays {
	says, _ := a.look()
	return says
}

func (a *agent) look() (says agentSays, mute string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.says, a.mute
}

func (a *agent) set(s agentSays) {
	a.mu.Lock()
	if a.over {
		s = agentSays{}
	}
	changed := a.says.less != s.less || a.says.drain != s.drain
	a.says = s
	a.mu.Unlock()
	if changed && a.weighed != nil {
		a.weighed()
	}
}

// understood notes why nothing could be made of the agent, "" when something could.
func (a *agent) understood(mute string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mute = mute; a.over {
		a.mute = ""
	}
}

// wanted says whether the configuration has an agent.
func (a *agent) wanted(is bool) {
	a.mu.Lock()
	a.over = !is
	a.mu.Unlock()
}

// forgetAgent drops what was said once nobody is asked any more.
func (e *endpoint) forgetAgent() {
	e.agent.set(agentSays{})
	e.agent.understood("")
}

// askAgent asks the agent. The error says why the listener is to be taken for unavailable. An agent beside a check that does not answer, or says what means
// nothing, leaves things as they are, as HAProxy has it: whether the instance serves is what the check finds out. One that is all there is has to answer.
func (e *endpoint) askAgent(ctx context.Context, s *healthSettings) error {
	line, err := e.agentLine(ctx, s.agentPort)
	mute := "no answer"
	var says agentSays
	if err == nil {
		mute = "no word that is known"
		says, err = e.agent.get().next(line)
	}
	switch {
	case err == nil:
		e.agent.set(says)
		e.agent.understood("")
		return says.failure()
	case s.kind == "agent" || errors.Is(ctx.Err(), context.Canceled):
		return err
	}
	e.agent.understood(mute)
	return e.agent.get().failure()
}

// agentLine reads one line from the agent.
func (e *endpoint) agentLine(ctx context.Context, port int) (string, error) {
	if port == 0 {
		return "", errors.New("health.type agent needs health.agentPort")
	}
	host, _, err := net.SplitHostPort(e.hostPort)
	if err != nil {
		return "", err
	}
	conn, err := e.dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := readAgentLine(conn)
	if err != nil && ctx.Err() != nil {
		return "", context.DeadlineExceeded
	}
	return line, err
}

// readAgentLine reads up to the first CR or LF, or the end.
func readAgentLine(r io.Reader) (string, error) {
	var buffer [maxAgentLine + 1]byte
	n := 0
	for {
		got, err := r.Read(buffer[n:])
		if end := strings.IndexAny(string(buffer[n:n+got]), "\r\n"); end >= 0 {
			return string(buffer[:n+end]), nil
		}
		n += got
		switch {
		case n > maxAgentLine:
			return "", fmt.Errorf("the line is longer than %d bytes", maxAgentLine)
		case err == io.EOF && n > 0:
			return string(buffer[:n]), nil
		case err == io.EOF:
			return "", errors.New("the connection was closed without a word")
		case err != nil:
			return "", err
		}
	}
}

// next takes a line into account: words with blanks or commas between them, and possibly a reason after "#". A line with one bad word has no
// effect.
func (a agentSays) next(line string) (agentSays, error) {
	said, reason, _ := strings.Cut(line, "#")
	words := strings.FieldsFunc(said, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(words) == 0 {
		return a, fmt.Errorf("the line %s has no word", quoteWord(line))
	}
	next := a
	next.reason = shown(reason)
	for _, word := range words {
		switch lower := strings.ToLower(word); lower {
		case "up":
			next.down = ""
		case "down", "failed", "fail", "stopped":
			next.down = lower
		case "ready":
			next.drain, next.maint = false, ""
		case "drain":
			next.drain, next.maint = true, ""
		case "maint":
			next.maint = lower
		default:
			if count, ok := strings.CutPrefix(lower, "maxconn:"); ok {
				if _, err := strconv.ParseUint(count, 10, 32); err == nil {
					continue // a bound of one balancer's connections; maxConnections of the configuration is the group's
				}
			}
			percent, err := agentPercent(word)
			if err != nil {
				return a, err
			}
			next.less = 1 - float64(min(percent, 100))/100
		}
	}
	return next, nil
}

func agentPercent(word string) (uint64, error) {
	digits, ok := strings.CutSuffix(word, "%")
	if !ok {
		return 0, fmt.Errorf("the word %s is none of up, down, failed, stopped, maint, drain, ready, NN%%", quoteWord(word))
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n > maxAgentPercent {
		return 0, fmt.Errorf("%s is not a percentage from 0 to %d", quoteWord(word), maxAgentPercent)
	}
	return n, nil
}

// failure is why the listener is unavailable by the agent's word, nil when it is not.
func (a agentSays) failure() error {
	word := a.maint
	if word == "" {
		word = a.down
	}
	switch {
	case word == "":
		return nil
	case a.reason == "":
		return errors.New(word)
	default:
		return errors.New(word + ": " + a.reason)
	}
}

func quoteWord(s string) string { return strconv.QuoteToASCII(shown(s)) }

// shown is an agent's text as it is safe to show: short and printable.
func shown(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxAgentReason {
		s = s[:maxAgentReason]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// agentShare is the part of its weight that the instance's agents leave it, from 0 to 1; 1 without an agent. When agents of several
// listeners disagree, the smallest counts.
func (s *instanceState) agentShare() float64 {
	share := 1.0
	for _, e := range *s.endpoints.Load() {
		share = min(share, 1-e.agent.get().less)
	}
	return share
}

// agentDrains reports whether an agent wants no unassigned requests for the instance: it said drain, or 0 %.
func (s *instanceState) agentDrains() bool {
	for _, e := range *s.endpoints.Load() {
		if says := e.agent.get(); says.drain || says.less >= 1 {
			return true
		}
	}
	return false
}

// agentWord is what the agents of all listeners come to for those who look at the instance, and the part of its share that it does not get by that.
func (s *instanceState) agentWord() (word string, withheld float64) {
	drain, less, mute := false, 0.0, ""
	for _, e := range *s.endpoints.Load() {
		says, silent := e.agent.look()
		mute = max(mute, silent)
		drain, less = drain || says.drain, max(less, says.less)
	}
	var words []string
	if drain {
		words = append(words, "drain")
	}
	if less > 0 {
		words = append(words, fmt.Sprintf("%.0f%%", (1-less)*100))
	}
	if mute != "" {
		words = append(words, mute)
	}
	if drain {
		less = 1
	}
	return strings.Join(words, ", "), less
}
