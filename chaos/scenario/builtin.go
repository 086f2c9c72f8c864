package scenario

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtin gives the built-in set, by name.
func Builtin() ([]*Scenario, error) {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		return nil, err
	}
	var list []*Scenario
	for _, e := range entries {
		name := path.Join("builtin", e.Name())
		data, err := builtin.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Scenario) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ReadFile reads a scenario from a file.
func ReadFile(name string) (*Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return Parse(name, data)
}

// Find gives the built-in scenarios whose names fit a pattern as shells have it (*, ?, [a-z]), or, for a path that ends in .yaml or .yml, the one in that file.
func Find(pattern string) ([]*Scenario, error) {
	if strings.HasSuffix(pattern, ".yaml") || strings.HasSuffix(pattern, ".yml") {
		s, err := ReadFile(pattern)
		if err != nil {
			return nil, err
		}
		return []*Scenario{s}, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("scenario %q: the pattern is not complete: %w", pattern, err)
	}
	all, err := Builtin()
	if err != nil {
		return nil, err
	}
	var list []*Scenario
	for _, s := range all {
		if fits, _ := path.Match(pattern, s.Name); fits {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no built-in scenario is called %q, and a file's name ends in .yaml; 'holdfast-chaos list' shows them all", pattern)
	}
	return list, nil
}

// OfProfile gives the built-in scenarios of a profile.
func OfProfile(profile string) ([]*Scenario, error) {
	all, err := Builtin()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s *Scenario) bool { return !slices.Contains(s.Profiles, profile) }), nil
}
