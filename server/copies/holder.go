package copies

import (
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

// Answer answers the question of another member. Its error is for what is no question; all else is in the answer.
func (c *Copies) Answer(ctx context.Context, request []byte) ([]byte, error) {
	q, err := decode(request)
	if err != nil {
		return nil, err
	}
	var rest []byte
	switch q.op {
	case opPut:
		err = c.keep(q.hash, q.rest)
	case opGet:
		rest, err = c.read(q.hash)
	case opTake:
		err = c.take(ctx, q)
	case opHold:
		c.hold()
	case opHave:
		for _, h := range q.hashes {
			rest = append(rest, byte(c.keeps(h)))
		}
	}
	if err != nil {
		return failure(err), nil
	}
	return answer(statusOK, rest), nil
}

// take fetches a value from another member and keeps it.
func (c *Copies) take(ctx context.Context, q *question) error {
	if there, err := c.opt.Shelf.Keep(q.hash); there && err == nil {
		if _, err := c.read(q.hash); err == nil { // else it has just been found to be damaged
			return nil
		}
	}
	from := string(q.rest)
	if !slices.Contains(c.opt.Members(), from) {
		return fmt.Errorf("%.80q is no member", from)
	}
	data, err := c.get(ctx, from, &fsm.Copy{Hash: q.hash, Size: q.size})
	if err != nil {
		return fmt.Errorf("from node %s: %w", nameOf(from), err)
	}
	return c.keep(q.hash, data)
}

// keeps tells whether this node has a value, and has its time begin anew. What is here and not certain to stay is not to be counted on, nor to be taken for lost.
func (c *Copies) keeps(h shelf.Hash) word {
	there, err := c.opt.Shelf.Keep(h)
	switch {
	case !there:
		return hasNot
	case err != nil:
		c.opt.Logger.Debug("a value that this node has is not certain to stay", "error", err)
		return unsure
	}
	return hasIt
}

// have asks a member which of some hashes it has; more than one question can hold are asked in several.
func (c *Copies) have(ctx context.Context, id string, hashes []shelf.Hash) ([]word, error) {
	out := make([]word, 0, len(hashes))
	for part := range slices.Chunk(hashes, maxHashes) {
		if id == c.opt.Self() {
			for _, h := range part {
				out = append(out, c.keeps(h))
			}
			continue
		}
		rest, err := c.ask(ctx, id, &question{op: opHave, hashes: part})
		if err != nil {
			return nil, err
		}
		if len(rest) != len(part) {
			return nil, fmt.Errorf("%w: %d answers to %d hashes", errMessage, len(rest), len(part))
		}
		for _, b := range rest {
			out = append(out, word(b))
		}
	}
	return out, nil
}
