package client

import (
	"context"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

const (
	// backupStart is how long a node may take to write the snapshot that a backup is sent from, at any size of the state.
	backupStart = 5 * time.Minute
	// backupSilence is how long a backup may stand still before it counts as broken.
	backupSilence = 45 * time.Second
)

// Backup is an archive on its way from a node. It must be closed. That Read gives io.EOF does not mean that the archive is whole: its own end tells.
type Backup struct {
	Stream
	// Name is what the node would call the file, Index the last log entry in it.
	Name  string
	Index uint64
}

// Values has a backup carry the bytes of values that are kept beside the log, or not; wire.ValuesWhole without it.
func Values(which wire.BackupValues) ReadOption {
	return func(q url.Values) { q.Set("values", string(which)) }
}

// Backup asks one node after the other for an archive of the whole state. Needs the role admin. The context bounds the transfer too.
func (c *Client) Backup(ctx context.Context, opts ...ReadOption) (*Backup, error) {
	var tried []error
	var last *Problem
	wait := time.Duration(0)
	for round := range c.rounds {
		if round > 0 && sleep(ctx, max(c.pause, wait)) != nil {
			break
		}
		tried, wait = tried[:0], 0
		first := int(c.current.Load())
		for i := range c.urls {
			at := (first + i) % len(c.urls)
			b, refusal, err := c.backupFrom(ctx, c.urls[at], opts)
			if err == nil && refusal == nil {
				c.current.Store(int64(at))
				return b, nil
			}
			if refusal != nil {
				p, again := c.judge(refusal, request{repeatable: true})
				if !again {
					return nil, p
				}
				last, err = p, p
				wait = max(wait, retryAfter(refusal.header))
			}
			tried = append(tried, err)
			if ctx.Err() != nil {
				return nil, giveUp(ctx, last, tried)
			}
		}
	}
	return nil, giveUp(ctx, last, tried)
}

// backupFrom asks one node: a backup, or its refusal, or why there was no answer.
func (c *Client) backupFrom(ctx context.Context, base string, opts []ReadOption) (*Backup, *answer, error) {
	stream, header, refusal, err := c.stream(ctx, streamRequest{base: base, path: "/v1/backup", query: queryOf(opts), start: backupStart, silence: backupSilence})
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	b := &Backup{Stream: *stream}
	_, disposition, err := mime.ParseMediaType(header.Get("Content-Disposition"))
	if err == nil {
		b.Name = disposition["filename"]
	}
	if b.Index, err = strconv.ParseUint(header.Get("Holdfast-Index"), 10, 64); err != nil {
		_ = b.Close()
		return nil, nil, fmt.Errorf("%s: the answer is no backup; is it a Holdfast node?", base)
	}
	return b, nil, nil
}
