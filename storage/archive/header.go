package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header says what is in an archive.
type Header struct {
	GroupID   string `json:"groupId"`
	GroupName string `json:"groupName"`
	// Epoch is the group's epoch, at least 1.
	Epoch uint32 `json:"epoch"`
	// Line tells the epoch from others of its number; 0: not known, or it has none.
	Line uint32 `json:"line,omitempty"`
	// Index is the last log entry that is in the state, Term the Raft term in which the node was there.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Confirmed is the last log entry that was known to be committed; it is less than Index only in an archive of a stopped node, whose last
	// entries may have been.
	Confirmed uint64 `json:"confirmed"`
	// GroupTime is the replicated time as of Index.
	GroupTime time.Time `json:"groupTime"`
	// Schema is the version of the state's schema, Program that of the program that wrote the archive.
	Schema  int    `json:"schema"`
	Program string `json:"program"`
	// Created is when the archive was begun, by the clock of the node that made it; Node is that node's name.
	Created time.Time `json:"created"`
	Node    string    `json:"node"`
	// Scheduled: the group's schedule made it, and may remove it again.
	Scheduled bool `json:"scheduled,omitempty"`
	// Members were the group's nodes, for information: a restored group has others.
	Members []Member `json:"members,omitempty"`
}

// Member is a node of the group.
type Member struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Addr  string `json:"addr"` // peer address, HOST:PORT
	Voter bool   `json:"voter"`
}

const (
	maxMembers = 1000
	maxText    = 300 // bytes of a name, an address or a version
	maxGroup   = 63  // bytes of a group's name
)

// check tells what is wrong with a header. What it lets through is fit to be printed and, the group's name, to be part of a file's name.
func (h *Header) check() error {
	switch {
	case h.GroupID == "":
		return errors.New("it names no group")
	case !plainName(h.GroupName):
		return errors.New("the group's name has characters that no group's name has")
	case h.Epoch == 0 || h.Index == 0 || h.Term == 0 || h.Schema < 1:
		return errors.New("epoch, index, term and schema begin at 1")
	case h.Confirmed > h.Index:
		return fmt.Errorf("entry %d is confirmed, but the last one is %d", h.Confirmed, h.Index)
	case !plainTime(h.Created) || !plainTime(h.GroupTime):
		return errors.New("a time is out of range")
	case len(h.Members) > maxMembers:
		return fmt.Errorf("%d members, at most %d", len(h.Members), maxMembers)
	}
	texts := []string{h.GroupID, h.Program, h.Node}
	for _, m := range h.Members {
		texts = append(texts, m.Name, m.ID, m.Addr)
	}
	for _, text := range texts {
		if len(text) > maxText || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("a text is too long or has characters that it cannot have")
		}
	}
	return nil
}

// plainName keeps a name from leaving its directory or hiding in it, whoever wrote the header.
func plainName(s string) bool {
	for i, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxGroup
}

// plainTime is what RFC 3339 and a file's name can hold.
func plainTime(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

func (h *Header) encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("archive header: %w", err)
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("archive header: %w", err)
	}
	if len(b) > maxSection {
		return nil, fmt.Errorf("archive header: %d bytes, at most %d", len(b), maxSection)
	}
	return b, nil
}

// decodeHeader ignores fields that it does not know: a later version of the program may say more.
func decodeHeader(b []byte) (Header, error) {
	var h Header
	if err := json.Unmarshal(b, &h); err != nil {
		return Header{}, fmt.Errorf("%w: its header cannot be read: %w", ErrDamaged, err)
	}
	if err := h.check(); err != nil {
		return Header{}, fmt.Errorf("%w: its header is not possible: %w", ErrDamaged, err)
	}
	return h, nil
}
