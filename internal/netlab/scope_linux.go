package netlab

import (
	"errors"
	"fmt"
	"sync"
)

// T is what a lab needs of the test that it belongs to: any testing.TB, or a Scope.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Scope is a T for programs that are no tests: what would fail a test is an error of Try, and Close ends what a test's end would. Its methods may be called from any goroutine.
type Scope struct {
	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// fatal is what Fatal and Fatalf panic with, for Try.
type fatal struct{ error }

// Try runs what uses the lab. Fatal and Fatalf end it, and are its error; outside of Try they would end the program.
func (s *Scope) Try(do func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			f, ok := v.(fatal)
			if !ok {
				panic(v)
			}
			err = f.error
		}
	}()
	do()
	return nil
}

// Close ends what was made in the scope, the last first. The error is of what could not be ended, and of Errorf.
func (s *Scope) Close() error {
	for {
		s.mu.Lock()
		last := len(s.cleanups) - 1
		if last < 0 {
			defer s.mu.Unlock()
			return errors.Join(s.errs...)
		}
		end := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		s.mu.Unlock()
		if err := s.Try(end); err != nil {
			s.Errorf("%v", err)
		}
	}
}

// Helper implements T.
func (*Scope) Helper() {}

// Errorf implements T.
func (s *Scope) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// Fatal implements T.
func (*Scope) Fatal(args ...any) { panic(fatal{errors.New(fmt.Sprint(args...))}) }

// Fatalf implements T.
func (*Scope) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

// Cleanup implements T.
func (s *Scope) Cleanup(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, do)
}
