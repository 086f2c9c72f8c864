package config

import (
	"errors"
	"fmt"
)

// Load reads a configuration that the group holds, as Canonical of this version or an older one wrote it. Keys that are missing have their defaults,
// keys that this version does not know are ignored, and nothing is validated: whoever proposed it has. The error is for what is no configuration at
// all; the work is bounded for any input, as in Parse.
func Load(raw []byte) (*Config, error) {
	if len(raw) > MaxInput {
		return nil, fmt.Errorf("load configuration: %d bytes, at most %d are read", len(raw), MaxInput)
	}
	root, err := readPart(raw)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	if root.kind == kindNull {
		return nil, errors.New("load configuration: there is none, the text is null")
	}
	p := &problems{root: root}
	c := Empty()
	decoder{p: p, lenient: true, resets: true}.config(root, c)
	if err := p.err(); err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	for i := range c.Listeners {
		fillInListener(&c.Listeners[i])
	}
	for i := range c.Clusters {
		fillIn(&c.Clusters[i])
	}
	return c, nil
}
