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
	d.Holder.Prefer = slices.Clone(c.Holder.Prefer)
	d.Proxy.TrustedProxies, d.Proxy.AccessLog.Fields = slices.Clone(c.Proxy.TrustedProxies), slices.Clone(c.Proxy.AccessLog.Fields)
	d.Proxy.ErrorPages = slices.Clone(c.Proxy.ErrorPages)
	cloneACME(&d)
	d.Listeners = slices.Clone(c.Listeners)
	for i := range d.Listeners {
		l := &d.Listeners[i]
		l.Certificates, l.Zones, l.Nodes = slices.Clone(l.Certificates), slices.Clone(l.Zones), slices.Clone(l.Nodes)
		l.TrustedProxies, l.ServerNames = slices.Clone(l.TrustedProxies), slices.Clone(l.ServerNames)
		cloneTLS(l)
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
		cloneInstanceTLS(k)
		k.Modules = slices.Clone(k.Modules)
		for j := range k.Modules {
			k.Modules[j].Idempotent = slices.Clone(k.Modules[j].Idempotent)
			if s := k.Modules[j].Store; s != nil {
				c := *s
				k.Modules[j].Store = &c
			}
			cloneCompression(&k.Modules[j])
		}
		k.Instances = slices.Clone(k.Instances)
		for j := range k.Instances {
			k.Instances[j].Listeners = slices.Clone(k.Instances[j].Listeners)
		}
	}
	return &d
}
