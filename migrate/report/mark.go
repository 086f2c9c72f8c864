package report

import "fmt"

// Mark is what an importer decides about one thing of the input. The zero value is undecided. A later decision replaces an earlier one only by an
// error, and the first error stays: so each thing has one entry whatever the importer does.
type Mark struct {
	status Status
	key    string
	why    string
}

// Decided tells whether there is a decision.
func (m *Mark) Decided() bool { return m.status != "" }

// Failed tells whether the decision is an error.
func (m *Mark) Failed() bool { return m.status == Error }

// Key is where the thing went.
func (m *Mark) Key() string { return m.key }

// Map says that the thing went to a key of the configuration, whole and with the same meaning.
func (m *Mark) Map(format string, args ...any) { m.decide(Mapped, fmt.Sprintf(format, args...), "") }

// Approximate says that it went to key, or nowhere when key is "", with another meaning, and which.
func (m *Mark) Approximate(key, format string, args ...any) {
	if m.status == Mapped && (key == "" || key == m.key) {
		m.status = Approximated
		m.why = fmt.Sprintf(format, args...)
		return
	}
	m.decide(Approximated, key, fmt.Sprintf(format, args...))
}

// Ignore says that nothing comes of it, and why that is right.
func (m *Mark) Ignore(format string, args ...any) {
	m.decide(Ignored, "", fmt.Sprintf(format, args...))
}

// Fail says what is wrong with it.
func (m *Mark) Fail(format string, args ...any) {
	if m.status != Error {
		m.status, m.why = Error, fmt.Sprintf(format, args...)
	}
}

// Like takes over the decision about another thing, of which this one is only a part; an error stays with the other.
func (m *Mark) Like(o *Mark) {
	status, why := o.status, o.why
	if status == Error {
		status, why = Ignored, "belongs to something that is in error"
	}
	m.decide(status, o.key, why)
}

func (m *Mark) decide(s Status, key, why string) {
	if m.status == "" {
		m.status, m.key, m.why = s, key, why
	}
}

// Entry makes the report's line of the decision; what nobody decided about is an error.
func (m *Mark) Entry(file string, line, column int, what, value string) Entry {
	e := Entry{File: file, Line: line, Column: column, What: what, Value: value, Status: m.status, Key: m.key, Why: m.why}
	if e.Status == "" {
		e.Status, e.Why = Error, "is unknown here"
	}
	if len(e.Value) > maxValue {
		e.Value = Clip(e.Value)
	}
	return e
}

// maxValue bounds what is quoted, in bytes.
const maxValue = 200

// Clip shortens text from the input for a message.
func Clip(s string) string {
	if len(s) <= maxValue {
		return s
	}
	cut := maxValue
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}
