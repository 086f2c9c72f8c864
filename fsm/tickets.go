package fsm

import "fmt"

// maxTicketKeys is how many ticket keys are kept: the one in force, and those whose tickets may still come.
const maxTicketKeys = 3

// problem says why it cannot be kept, or nothing.
func (k *TicketKey) problem() string {
	var c check
	if c.size("the sealed ticket key", len(k.Key), maxNameBytes); len(k.Key) == 0 {
		c.failf("the ticket key is missing")
	}
	return c.message
}

func (r *replica) ticketKeyPut(index uint64, c *TicketKeyPut) Result {
	next := TicketKey{ID: index, Since: millis(r.now.Load()), Key: c.Key}
	k := check{message: next.problem()}
	if res, refused := k.refused(); refused {
		return res
	}
	list := r.operating.Load().TicketKeys
	newest := uint64(0)
	if len(list) > 0 {
		newest = list[0].ID
	}
	if newest != c.Expect {
		return Result{Code: CodeConflict, Message: fmt.Sprintf("the newest ticket key is of index %d, not %d", newest, c.Expect)}
	}
	keys := append([]TicketKey{next}, list[:min(len(list), maxTicketKeys-1)]...)
	r.operate(index, func(o *Operating) { o.TicketKeys = keys })
	return Result{}
}

// appendTicketKey is the canonical form of a ticket key.
func appendTicketKey(b []byte, k *TicketKey) []byte {
	b = appendU64(b, k.ID)
	b = appendTime(b, k.Since)
	return appendBytes(b, k.Key)
}

func parseTicketKey(b []byte) (TicketKey, bool) {
	p := parser{b: b}
	k := TicketKey{ID: p.u64(), Since: p.time(), Key: p.bytes()}
	return k, p.done() && k.problem() == ""
}

func (r *restorer) ticketKeysProblem() string {
	list := r.op.TicketKeys
	if len(list) > maxTicketKeys {
		return "ticket keys"
	}
	for i := range list {
		k := &list[i]
		if k.ID == 0 || k.ID > r.op.Index || !r.past(k.Since) || i > 0 && list[i-1].ID <= k.ID {
			return "ticket key"
		}
	}
	return ""
}

// tlsItem adds a certificate or a ticket key, and tells whether it is a possible one.
func (r *restorer) tlsItem(it item, b []byte) (ok bool) {
	o := &r.op
	if it == itemTicketKey {
		k, ok := parseTicketKey(b)
		o.TicketKeys = append(o.TicketKeys, k)
		return ok && len(o.TicketKeys) <= maxTicketKeys
	}
	c, ok := parseCertificate(b)
	o.Certificates = append(o.Certificates, c)
	return ok && len(o.Certificates) <= maxCertificates
}

// writeTLS writes the certificates and the ticket keys.
func (s *Snapshot) writeTLS(l *listWriter) {
	addAll(l, itemCertificate, s.operating.Certificates, appendCertificate)
	addAll(l, itemTicketKey, s.operating.TicketKeys, appendTicketKey)
}

// sumTLS brings their digests up to date.
func (p *parts) sumTLS(old, next *Operating) {
	rehash(&p.certificates, itemCertificate, old.Certificates, next.Certificates, appendCertificate)
	rehash(&p.tickets, itemTicketKey, old.TicketKeys, next.TicketKeys, appendTicketKey)
}
