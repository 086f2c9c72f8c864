package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// patch makes the write that turns a value into what a JSON merge patch (RFC 7396) makes of it.
func (a *API) patch(ctx context.Context, m *storeModule, key fsm.StoreKey, v *fsm.Stored, patch []byte) (fsm.Command, error) {
	data, err := a.bytesOf(ctx, v)
	if err != nil {
		return nil, err
	}
	next, err := patched(v.Type, data, patch, m.maxValue)
	if err != nil {
		return nil, err
	}
	if v.Copy != nil || a.beside(m, len(next)) {
		return &fsm.StorePut{StoreKey: key, If: fsm.IfVersion, Version: v.Version, TTL: v.TTL(), Type: v.Type, Data: next}, nil
	}
	at, cut, insert := difference(data, next)
	return &fsm.StoreSplice{StoreKey: key, Version: v.Version, At: uint32(at), Cut: uint32(cut), Insert: insert}, nil
}

// writePatched has the group apply what patch has made.
func (a *API) writePatched(ctx context.Context, m *storeModule, c fsm.Command, id fsm.RequestID) (*writtenOutput, error) {
	switch c := c.(type) {
	case *fsm.StoreSplice:
		c.RequestID = id
	case *fsm.StorePut:
		if c.RequestID = id; a.beside(m, len(c.Data)) {
			return a.putCopy(ctx, c)
		}
	}
	return a.write(ctx, c)
}

// patched is what a JSON merge patch makes of a value.
func patched(media string, data, patch []byte, most int64) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(media); err != nil || kind != mediaJSON && !strings.HasSuffix(kind, "+json") {
		return nil, invalidRequest("body", "the value is of type %.128s, and a merge patch is for JSON: write the whole value with PUT", media)
	}
	if err := checkJSON(data); err != nil {
		return nil, invalidRequest("body", "the value that is there is no JSON that can be patched: write the whole value with PUT")
	}
	next, err := mergePatch(data, patch)
	if err != nil {
		return nil, err
	}
	if int64(len(next)) > most {
		return nil, tooLarge(len(next), most)
	}
	return next, nil
}

// mergePatch is MergePatch of RFC 7396 section 2. Numbers keep the form in which they were written. Both arguments are JSON.
func mergePatch(target, patch []byte) ([]byte, error) {
	changes := map[string]json.RawMessage{}
	if !isObject(patch) {
		return bytes.TrimSpace(patch), nil
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	members := map[string]json.RawMessage{}
	if isObject(target) {
		if err := json.Unmarshal(target, &members); err != nil {
			return nil, fmt.Errorf("merge patch: %w", err)
		}
	}
	for name, change := range changes {
		if string(bytes.TrimSpace(change)) == "null" {
			delete(members, name)
			continue
		}
		merged, err := mergePatch(members[name], change)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(members); err != nil { // names in their order, so that what does not change stays where it is
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// difference is the part in which two values differ: cut bytes at a place of the first are insert in the second.
func difference(from, to []byte) (at, cut int, insert []byte) {
	most := min(len(from), len(to))
	for at < most && from[at] == to[at] {
		at++
	}
	tail := 0
	for tail < most-at && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	return at, len(from) - tail - at, to[at : len(to)-tail]
}
