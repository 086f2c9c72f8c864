package config

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Canonical gives the configuration as JSON on one line, every default written, always the same bytes for equal values.
func (c *Config) Canonical() []byte {
	return encode(c)
}

// encode gives the JSON of a part of a configuration.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: configuration has no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Clone gives a deep copy, which the caller may change.
func (c *Config) Clone() *Config {
	d := *c
	d.Listeners = slices.Clone(c.Listeners)
	for i := range d.Listeners {
		l := &d.Listeners[i]
		l.Certificates, l.Zones, l.Nodes = slices.Clone(l.Certificates), slices.Clone(l.Zones), slices.Clone(l.Nodes)
	}
	d.Clusters = slices.Clone(c.Clusters)
	for i := range d.Clusters {
		k := &d.Clusters[i]
		k.Affinity.Names = slices.Clone(k.Affinity.Names)
		k.Affinity.Routes = slices.Clone(k.Affinity.Routes)
		k.Health.Passive = slices.Clone(k.Health.Passive)
		k.Backup = slices.Clone(k.Backup)
		if k.InstanceTemplate != nil {
			t := *k.InstanceTemplate
			k.InstanceTemplate = &t
		}
		k.Modules = slices.Clone(k.Modules)
		for j := range k.Modules {
			k.Modules[j].Idempotent = slices.Clone(k.Modules[j].Idempotent)
		}
		k.Instances = slices.Clone(k.Instances)
		for j := range k.Instances {
			k.Instances[j].Listeners = slices.Clone(k.Instances[j].Listeners)
		}
	}
	return &d
}
