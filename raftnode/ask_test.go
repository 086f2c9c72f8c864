package raftnode

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// askedGroup is a group whose members answer with answer.
func askedGroup(t *testing.T, size int, answer func(ctx context.Context, self, from string, payload []byte) ([]byte, error)) group {
	t.Helper()
	g := expectGroup(t, size)
	for _, m := range g {
		m.node.opt.Asked = func(ctx context.Context, from string, payload []byte) ([]byte, error) {
			return answer(ctx, m.opt.Name, from, payload)
		}
		m.run()
	}
	g.ready()
	return g
}

func TestAsk(t *testing.T) {
	release := make(chan struct{})
	g := askedGroup(t, 3, func(ctx context.Context, self, from string, payload []byte) ([]byte, error) {
		switch string(payload) {
		case "fail":
			return nil, errors.New("out of paper")
		case "retry":
			return nil, retryLater("busy")
		case "wait":
			select {
			case <-release:
				return []byte("late"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case "huge":
			return make([]byte, maxPayload+1), nil
		}
		return append([]byte(self+" to "+from+": "), payload...), nil
	})
	for _, m := range g { // any member asks any, itself too
		for _, to := range g {
			want := to.opt.Name + " to " + m.opt.Name + ": hello"
			if b, err := m.node.Ask(ctxFor(t, 10*time.Second), to.opt.Name, []byte("hello")); err != nil || string(b) != want {
				t.Errorf("%q, %v, want %q", b, err, want)
			}
		}
	}
	large := bytes.Repeat([]byte("x"), 4<<20)
	if b, err := g[0].node.Ask(ctxFor(t, 20*time.Second), "n2", large); err != nil || len(b) < len(large) {
		t.Errorf("a large question: %d bytes, %v", len(b), err)
	}
	for name, payload := range map[string][]byte{"of the handler": []byte("fail"), "an answer without bounds": []byte("huge"), "a question without bounds": make([]byte, maxPayload+1)} {
		for _, to := range []string{"n1", "n2"} {
			if _, err := g[0].node.Ask(ctxFor(t, 20*time.Second), to, payload); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), to) {
				t.Errorf("an error %s, from %s: %v", name, to, err)
			}
		}
	}
	if _, err := g[0].node.Ask(ctxFor(t, 10*time.Second), "n2", []byte("fail")); err == nil || !strings.Contains(err.Error(), "out of paper") {
		t.Errorf("the handler's text: %v", err)
	}
	for _, nobody := range []string{"", "n9", "n1/12345678", strings.Repeat("x", 10000)} {
		if _, err := g[0].node.Ask(ctxFor(t, 10*time.Second), nobody, nil); !errors.Is(err, ErrRefused) || len(err.Error()) > 300 {
			t.Errorf("a question to %.20q: %v", nobody, err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, to := range []string{"n1", "n2"} {
		if _, err := g[0].node.Ask(short, to, []byte("wait")); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrRefused) {
			t.Errorf("a question that ends before its answer, to %s: %v", to, err)
		}
	}
	late := make(chan error, 1)
	go func() {
		b, err := g[0].node.Ask(ctxFor(t, 20*time.Second), "n2", []byte("wait"))
		if string(b) != "late" && err == nil {
			err = errors.New(string(b))
		}
		late <- err
	}()
	if _, err := g[0].node.Ask(ctxFor(t, 10*time.Second), "n2", []byte("beside it")); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-late; err != nil {
		t.Error(err)
	}
}

func TestAskNobodyUnderstands(t *testing.T) {
	g := startGroup(t, 3)
	for _, to := range []string{"n1", "n2"} {
		_, err := g[0].node.Ask(ctxFor(t, 10*time.Second), to, []byte("x"))
		var f *failure
		if !errors.As(err, &f) || f.code != failUnsupported {
			t.Errorf("%s: %v", to, err)
		}
	}
	g[1].crash()
	if _, err := g[0].node.Ask(ctxFor(t, 10*time.Second), "n2", []byte("x")); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a node that is down: %v", err)
	}
}
