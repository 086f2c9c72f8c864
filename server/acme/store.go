package acme

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

const (
	// lockTTL is for how long a lock is taken at a time; it is prolonged at each third of it.
	lockTTL = time.Minute
	// unlockWait bounds the letting go of a lock: when nobody can be told, it ends by itself.
	unlockWait = 3 * time.Second
)

// Store is certmagic.Storage in the replicated state. Its fields are set before the first call; its methods may be called on any goroutine.
type Store struct {
	// State is what is in force, as of all that Propose has had applied.
	State func() *fsm.Operating
	// Secret is the group's.
	Secret []byte
	// Propose has a command applied in this term; it is bounded in time.
	Propose func(context.Context, fsm.Command) (fsm.Result, error)
	// Changed gives a channel that is closed when anything in State changes.
	Changed func() <-chan struct{}
	// Settle waits until the nodes would answer a challenge that has been stored, as far as that can be waited for; nil: nobody is waited for.
	Settle func(context.Context)
	// Node and Term say who takes locks.
	Node string
	Term uint64

	mu   sync.Mutex
	held map[string]*hold
}

var _ certmagic.Storage = (*Store)(nil)

// hold is a lock that this Store has.
type hold struct {
	id   string
	stop context.CancelFunc
	done chan struct{}
}

// Store implements certmagic.Storage.
func (s *Store) Store(ctx context.Context, key string, value []byte) error {
	var random [32]byte
	rand.Read(random[:])
	sealed, err := certs.SealValue(s.Secret, key, random, value)
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	if err := s.propose(ctx, "store "+key, &fsm.ACMEStore{Key: key, Sealed: sealed}); err != nil {
		return err
	}
	if s.Settle != nil && strings.Contains(key, "/challenge_tokens/") {
		s.Settle(ctx)
	}
	return nil
}

// propose has a command applied, or says why not.
func (s *Store) propose(ctx context.Context, what string, c fsm.Command) error {
	r, err := s.Propose(ctx, c)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case r.Code != fsm.CodeOK:
		return fmt.Errorf("%s: refused: %s", what, r.Message)
	}
	return nil
}

// Load implements certmagic.Storage; the error is fs.ErrNotExist, certs.ErrSealed or that of ctx.
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v := s.State().ACMEValue(key)
	if v == nil {
		return nil, fmt.Errorf("load %s: %w", key, fs.ErrNotExist)
	}
	value, err := certs.OpenValue(s.Secret, key, v.Sealed)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", key, err)
	}
	return value, nil
}

// Delete implements certmagic.Storage: the key goes, and all keys below it.
func (s *Store) Delete(ctx context.Context, key string) error {
	if !s.Exists(ctx, key) {
		return ctx.Err()
	}
	return s.propose(ctx, "delete "+key, &fsm.ACMEDelete{Key: key})
}

// Exists implements certmagic.Storage.
func (s *Store) Exists(_ context.Context, key string) bool {
	return slices.ContainsFunc(s.State().ACMEValues, func(v fsm.ACMEValue) bool { return v.Key == key || strings.HasPrefix(v.Key, key+"/") })
}

// List implements certmagic.Storage: the keys below path, sorted; without recursive those, and the directories, that are directly in it. The empty path is all.
func (s *Store) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	prefix := ""
	if path != "" {
		prefix = path + "/"
	}
	var keys []string
	values := s.State().ACMEValues
	for i := range values {
		rest, below := strings.CutPrefix(values[i].Key, prefix)
		if !below {
			continue
		}
		if !recursive {
			rest, _, _ = strings.Cut(rest, "/")
		}
		if key := prefix + rest; len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("list %s: %w", path, fs.ErrNotExist)
	}
	return keys, nil
}

// Stat implements certmagic.Storage.
func (s *Store) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := ctx.Err(); err != nil {
		return certmagic.KeyInfo{}, err
	}
	if v := s.State().ACMEValue(key); v != nil {
		return certmagic.KeyInfo{Key: key, Modified: v.Modified, Size: int64(len(v.Sealed) - certs.SealOverhead), IsTerminal: true}, nil
	}
	if s.Exists(ctx, key) {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, fmt.Errorf("stat %s: %w", key, fs.ErrNotExist)
}

// Lock implements certmagic.Storage: it waits until the lock is free, and keeps it until Unlock, or until the term ends.
func (s *Store) Lock(ctx context.Context, name string) error {
	var b [16]byte
	rand.Read(b[:])
	take := &fsm.ACMELockSet{Name: name, ID: hex.EncodeToString(b[:]), Node: s.Node, Term: s.Term, TTL: lockTTL}
	for {
		changed := s.Changed() // asked before the state is, so that no change slips through in between
		r, err := s.Propose(ctx, take)
		switch {
		case err != nil:
			return fmt.Errorf("lock %s: %w", name, err)
		case r.Code == fsm.CodeOK:
			s.keep(take)
			return nil
		case r.Code != fsm.CodeConflict:
			return fmt.Errorf("lock %s: refused: %s", name, r.Message)
		}
		wait := time.NewTimer(lockTTL / 10) // a lock that ends changes nothing
		select {
		case <-changed:
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("lock %s: %w: %s", name, ctx.Err(), r.Message)
		}
	}
}

// keep prolongs a lock until it is let go.
func (s *Store) keep(take *fsm.ACMELockSet) {
	ctx, stop := context.WithCancel(context.Background())
	h := &hold{id: take.ID, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	if s.held == nil {
		s.held = map[string]*hold{}
	}
	s.held[take.Name] = h
	s.mu.Unlock()
	go func() {
		defer close(h.done)
		tick := time.NewTicker(lockTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// What fails is tried again at the next third; a term that is over prolongs nothing, and its locks are nobody's.
				_, _ = s.Propose(ctx, take)
			}
		}
	}()
}

// Unlock implements certmagic.Storage.
func (s *Store) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if h == nil {
		return fmt.Errorf("unlock %s: %w", name, errNotHeld)
	}
	h.stop()
	<-h.done
	ctx, cancel := context.WithTimeout(ctx, unlockWait)
	defer cancel()
	return s.propose(ctx, "unlock "+name, &fsm.ACMELockSet{Name: name, ID: h.id, Node: s.Node, Term: s.Term})
}

var errNotHeld = errors.New("nobody here has it")

// Close stops what keeps locks that nobody has let go. They end by themselves.
func (s *Store) Close() {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, h := range held {
		h.stop()
		<-h.done
	}
}
