package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// line is one operation as it is saved. Times are nanoseconds since the history began; an operation without an answer has no end.
type line struct {
	Session  string `json:"session,omitempty"`
	Cluster  string `json:"cluster,omitempty"`
	Client   int    `json:"client"`
	Did      string `json:"did"`
	Instance string `json:"instance,omitempty"`
	Why      string `json:"why,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	Expect   uint64 `json:"expect,omitempty"`
	Since    int64  `json:"sinceNs,omitempty"` // of an occasion of those sessions alone that were first answered later
	From     int64  `json:"fromNs"`
	To       *int64 `json:"toNs,omitempty"`
}

// Save writes the history, one JSON object a line: the sessions' operations in their order, the occasions to leave, then the configuration's.
func (h *History) Save(w io.Writer) error {
	v := h.view()
	h.mu.Lock()
	changes := append([]change(nil), h.changes...)
	h.mu.Unlock()
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	write := func(l line, to int64) error {
		if to != never {
			l.To = &to
		}
		if err := encoder.Encode(l); err != nil {
			return fmt.Errorf("save the history: %w", err)
		}
		return nil
	}
	names := [...]string{answered: "answered", silent: "no answer", looked: "looked up"}
	for _, o := range v.ops {
		s := v.known[o.session]
		if err := write(line{Session: s.name, Cluster: s.cluster, Client: int(o.client), Did: names[o.what], Instance: v.names[o.place], From: o.call}, o.back); err != nil {
			return err
		}
	}
	for _, c := range v.occasions {
		if err := write(line{Cluster: c.place.cluster, Did: "may leave", Instance: c.place.instance, Why: c.why, Since: c.since, From: c.from}, c.to); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := write(line{Client: c.client, Did: c.text, Revision: c.revision, Expect: c.expect, From: c.call}, c.back); err != nil {
			return err
		}
	}
	return out.Flush()
}
