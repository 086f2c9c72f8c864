package config

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Canonical gives the configuration as JSON on one line, every default written, always the same bytes for equal values.
func (c *Config) Canonical() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		panic("BUG: configuration has no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Clone gives a deep copy, which the caller may change.
func (c *Config) Clone() *Config {
	d := *c
	d.Listeners = slices.Clone(c.Listeners)
	for i := range d.Listeners {
		d.Listeners[i].Certificates = slices.Clone(d.Listeners[i].Certificates)
	}
	d.Clusters = slices.Clone(c.Clusters)
	for i := range d.Clusters {
		k := &d.Clusters[i]
		k.Affinity.Names = slices.Clone(k.Affinity.Names)
		k.Backup = slices.Clone(k.Backup)
		k.Modules = slices.Clone(k.Modules)
		k.Instances = slices.Clone(k.Instances)
		for j := range k.Instances {
			k.Instances[j].Listeners = slices.Clone(k.Instances[j].Listeners)
		}
	}
	return &d
}
