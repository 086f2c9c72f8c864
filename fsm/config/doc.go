// Package config is the group's configuration: its types, its strict reader, its rules and its canonical form.
//
// Parse promises that what it returns obeys every rule of Validate, has every default filled in and every value in one
// spelling, so that two equal configurations are equal in Go and in Canonical's bytes; and that what it refuses it
// refuses with all errors at once, each with its place and a way out. It is bounded in time and memory for any input.
//
// Load reads what the group holds, of this version or an older one. Apply makes edits by name, with the strictness of Parse, and Diff says what is
// different between two configurations.
//
// Everything here is pure: no clock, no randomness, no files, no goroutines. A *Config that Parse, Load, Apply or Empty returned is
// treated as immutable and may be read by many goroutines; who wants to change one takes a Clone.
package config
