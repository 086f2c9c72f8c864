// Package house holds the rules of the code base as tests: which package may import which (docs/ARCHITECTURE.md, "Floors"), that every
// package says what it promises, that files and functions stay small, and that tests wait for conditions, not for time.
// It has no code of its own.
package house
