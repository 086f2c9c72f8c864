package fsm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxSchedules bounds the changes that wait for their time.
	maxSchedules = 100
	// maxScheduleBytes bounds them together: each may bring a whole configuration.
	maxScheduleBytes = 16 << 20
)

// scheduleEntry is a ScheduleSet as it is read back. Configuration and edits stay as the bytes that were proposed.
type scheduleEntry struct {
	RequestID RequestID `json:"requestId"`
	Schedule  struct {
		ID      string          `json:"id"`
		At      time.Time       `json:"at"`
		Actor   string          `json:"actor"`
		Message string          `json:"message,omitempty"`
		Expect  uint64          `json:"expect,omitempty"`
		Config  json.RawMessage `json:"config,omitempty"`
		Edits   json.RawMessage `json:"edits,omitempty"`
		Now     []Subject       `json:"now,omitempty"`
	} `json:"schedule"`

	parsed Schedule
}

func (*scheduleEntry) kind() kind { return kindScheduleSet }

// parse fills in parsed.
func (c *scheduleEntry) parse() error {
	s := &c.Schedule
	c.parsed = Schedule{ID: s.ID, At: canonicalTime(s.At), Actor: s.Actor, Message: s.Message, Expect: s.Expect, Now: s.Now, rawConfig: s.Config, rawEdits: s.Edits}
	return c.parsed.parseRaw()
}

// parseRaw makes Config and Edits out of the bytes.
func (s *Schedule) parseRaw() (err error) {
	if s.Config, err = parseConfig(s.rawConfig); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if len(s.rawEdits) > 0 {
		if err := json.Unmarshal(s.rawEdits, &s.Edits); err != nil {
			return fmt.Errorf("edits: %w", err)
		}
	}
	// Nothing has one form.
	if s.Config == nil {
		s.rawConfig = nil
	}
	if len(s.Edits) == 0 {
		s.Edits, s.rawEdits = nil, nil
	}
	if len(s.Now) == 0 {
		s.Now = nil
	}
	return nil
}

func (s *Schedule) bytes() int {
	return len(s.rawConfig) + len(s.rawEdits) + len(s.Now)*(3*maxNameBytes+maxPathBytes)
}

// problem says why it cannot be kept, or nothing.
func (s *Schedule) problem() string {
	var k check
	k.id("the id of the schedule", s.ID)
	k.name("the actor", s.Actor)
	k.text("the message", s.Message)
	for _, subject := range s.Now {
		k.subject(subject)
	}
	switch {
	case s.At.IsZero():
		k.failf("the schedule has no time")
	case (s.Config == nil) == (len(s.Edits) == 0):
		k.failf("a schedule has either a configuration or edits")
	}
	return k.message
}

func (r *replica) scheduleSet(index uint64, c *scheduleEntry) Result {
	s := c.parsed
	s.Created = millis(r.now.Load())
	k := check{message: s.problem()}
	o := r.operating.Load()
	total := s.bytes()
	for i := range o.Schedules {
		total += o.Schedules[i].bytes()
		if o.Schedules[i].ID == s.ID {
			k.failf("there is a schedule %s already", s.ID)
		}
	}
	if len(o.Schedules) >= maxSchedules {
		k.failf("there are %d schedules, the most that a group keeps: take some back", maxSchedules)
	}
	if total > maxScheduleBytes {
		k.failf("the schedules would have %d bytes together, at most %d are kept: take some back, or schedule edits instead of whole configurations", total, maxScheduleBytes)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	i, _ := slices.BinarySearchFunc(o.Schedules, s, compareSchedules)
	next := slices.Insert(slices.Clone(o.Schedules), i, s)
	r.operate(index, func(o *Operating) { o.Schedules = next })
	r.emit(index, Event{Kind: EventScheduled, Actor: s.Actor, Text: fmt.Sprintf("Schedule %s: a change%s is to be made at %s%s", s.ID, by(s.Actor), s.At.Format(time.RFC3339), because(s.Message))})
	return Result{}
}

func compareSchedules(a, b Schedule) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }

func (r *replica) scheduleDrop(index uint64, c *ScheduleDrop) Result {
	var k check
	k.name("the actor", c.Actor)
	k.text("the failure", c.Failure)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	next := without(o.Schedules, func(s *Schedule) bool { return s.ID == c.ID })
	if len(next) == len(o.Schedules) {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("there is no schedule %q", clip(c.ID, maxNameBytes))}
	}
	r.operate(index, func(o *Operating) { o.Schedules = next })
	text := fmt.Sprintf("Schedule %s was taken back%s", c.ID, by(c.Actor))
	if c.Failure != "" {
		text = fmt.Sprintf("Schedule %s failed: %s", c.ID, c.Failure)
	}
	r.emit(index, Event{Kind: EventScheduleDone, Actor: c.Actor, Text: text})
	return Result{}
}

// FailedSchedule is the event of the schedule that failed last, when nothing has been scheduled, carried out or taken back since; nil when there is none.
func (s *State) FailedSchedule() *Event {
	list := *s.cur.Load().events.Load()
	for i := len(list) - 1; i >= 0; i-- {
		switch e := list[i]; e.Kind {
		case EventScheduled:
			return nil
		case EventScheduleDone:
			if f := strings.SplitN(e.Text, " ", 4); len(f) == 4 && f[2] == "failed:" { // as scheduleDrop writes it
				return &e
			}
			return nil
		}
	}
	return nil
}

// appendSchedule is the canonical form of a schedule. Configuration and edits are the JSON that was proposed, byte for byte.
func appendSchedule(b []byte, s *Schedule) []byte {
	b = appendBytes(b, s.ID)
	b = appendTime(b, s.At)
	b = appendBytes(b, s.Actor)
	b = appendBytes(b, s.Message)
	b = appendTime(b, s.Created)
	b = appendU64(b, s.Expect)
	b = appendBytes(b, s.rawConfig)
	b = appendBytes(b, s.rawEdits)
	b = appendU32(b, uint32(len(s.Now)))
	for _, subject := range s.Now {
		b = appendSubject(b, subject)
	}
	return b
}

func parseSchedule(b []byte) (s Schedule, err error) {
	p := parser{b: b}
	s = Schedule{ID: p.string(), At: p.time(), Actor: p.string(), Message: p.string(), Created: p.time(), Expect: p.u64(), rawConfig: p.bytes(), rawEdits: p.bytes()}
	for n := p.u32(); n > 0 && !p.bad; n-- {
		s.Now = append(s.Now, p.subject())
	}
	if !p.done() {
		return s, fmt.Errorf("schedule: wrong length")
	}
	return s, s.parseRaw()
}
