package load

import (
	"strconv"
	"strings"
)

// Jar holds the cookies of one user for one module. The zero value is empty.
type Jar struct{ cookies []cookie }

type cookie struct{ name, value string }

// Take applies one Set-Cookie header: a new value, or a removal by Max-Age of 0 or less. Path and domain are not looked at,
// because a jar belongs to one module.
func (j *Jar) Take(header string) {
	pair, attributes, _ := strings.Cut(header, ";")
	name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
	if !found || name == "" {
		return
	}
	at := len(j.cookies)
	for i, c := range j.cookies {
		if c.name == name {
			at = i
		}
	}
	if removes(attributes) {
		if at < len(j.cookies) {
			j.cookies = append(j.cookies[:at], j.cookies[at+1:]...)
		}
		return
	}
	if at == len(j.cookies) {
		j.cookies = append(j.cookies, cookie{name: name})
	}
	j.cookies[at].value = value
}

func removes(attributes string) bool {
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(attribute), "=")
		if strings.EqualFold(name, "Max-Age") {
			seconds, err := strconv.Atoi(value)
			return err == nil && seconds <= 0
		}
	}
	return false
}

// Get gives the value of a cookie, empty when there is none.
func (j *Jar) Get(name string) string {
	for _, c := range j.cookies {
		if c.name == name {
			return c.value
		}
	}
	return ""
}

// Header is the value of the Cookie header, empty for an empty jar.
func (j *Jar) Header() string {
	var b strings.Builder
	for i, c := range j.cookies {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name)
		b.WriteByte('=')
		b.WriteString(c.value)
	}
	return b.String()
}
