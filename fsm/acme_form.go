package fsm

// What the ACME client keeps is one kind of item in digests and snapshots; its first byte says what it is.
const (
	acmeFormValue = 1
	acmeFormLock  = 2
	acmeFormState = 3
)

func appendACMEValue(b []byte, v *ACMEValue) []byte {
	b = append(b, acmeFormValue)
	b = appendBytes(b, v.Key)
	b = appendBytes(b, v.Sealed)
	return appendTime(b, v.Modified)
}

func appendACMELock(b []byte, l *ACMELock) []byte {
	b = append(b, acmeFormLock)
	b = appendBytes(b, l.Name)
	b = appendBytes(b, l.ID)
	b = appendBytes(b, l.Node)
	b = appendU64(b, l.Term)
	return appendTime(b, l.Until)
}

func appendACMEState(b []byte, s *ACMEState) []byte {
	b = append(b, acmeFormState)
	b = appendBytes(b, s.Certificate)
	b = appendU32(b, uint32(s.Failures))
	b = appendBytes(b, s.Error)
	b = appendTime(b, s.At)
	b = appendTime(b, s.Next)
	return appendTime(b, s.Requested)
}

// acmeItem adds one, and tells whether it is a possible one.
func (r *restorer) acmeItem(b []byte) bool {
	o := &r.op
	p := parser{b: b}
	switch p.u8() {
	case acmeFormValue:
		v := ACMEValue{Key: p.string(), Sealed: p.bytes(), Modified: p.time()}
		n := len(o.ACMEValues)
		o.ACMEValues = append(o.ACMEValues, v)
		return p.done() && v.problem() == "" && n < maxACMEValues && (n == 0 || o.ACMEValues[n-1].Key < v.Key)
	case acmeFormLock:
		l := ACMELock{Name: p.string(), ID: p.string(), Node: p.string(), Term: p.u64(), Until: p.time()}
		n := len(o.ACMELocks)
		o.ACMELocks = append(o.ACMELocks, l)
		return p.done() && l.problem() == "" && !l.Until.IsZero() && n < maxACMELocks && (n == 0 || o.ACMELocks[n-1].Name < l.Name)
	case acmeFormState:
		s := ACMEState{Certificate: p.string(), Failures: int(p.u32()), Error: p.string(), At: p.time(), Next: p.time(), Requested: p.time()}
		n := len(o.ACMEStates)
		o.ACMEStates = append(o.ACMEStates, s)
		return p.done() && s.problem() == "" && n < maxACMEStates && (n == 0 || o.ACMEStates[n-1].Certificate < s.Certificate)
	}
	return false
}

func (r *restorer) acmeProblem() string {
	o := &r.op
	if acmeSize(o.ACMEValues) > maxACMESize {
		return "values of the ACME client"
	}
	for i := range o.ACMEValues {
		if !r.past(o.ACMEValues[i].Modified) {
			return "value of the ACME client"
		}
	}
	for i := range o.ACMEStates {
		if !r.past(o.ACMEStates[i].At) || !r.past(o.ACMEStates[i].Requested) {
			return "state of a certificate"
		}
	}
	return ""
}

// writeACME writes all of it.
func (s *Snapshot) writeACME(l *listWriter) {
	addAll(l, itemACME, s.operating.ACMEValues, appendACMEValue)
	addAll(l, itemACME, s.operating.ACMELocks, appendACMELock)
	addAll(l, itemACME, s.operating.ACMEStates, appendACMEState)
}

// sumACME brings its digests up to date.
func (p *parts) sumACME(old, next *Operating) {
	rehash(&p.acmeValues, itemACME, old.ACMEValues, next.ACMEValues, appendACMEValue)
	rehash(&p.acmeLocks, itemACME, old.ACMELocks, next.ACMELocks, appendACMELock)
	rehash(&p.acmeStates, itemACME, old.ACMEStates, next.ACMEStates, appendACMEState)
}

// listACME is all of it as one part.
func (s *Snapshot) listACME() itemList {
	o := s.operating
	v, l, n := len(o.ACMEValues), len(o.ACMELocks), len(o.ACMEStates)
	form := func(b []byte, i int) []byte {
		switch {
		case i < v:
			return appendACMEValue(b, &o.ACMEValues[i])
		case i < v+l:
			return appendACMELock(b, &o.ACMELocks[i-v])
		}
		return appendACMEState(b, &o.ACMEStates[i-v-l])
	}
	label := func(i int) string {
		switch {
		case i < v:
			return "value " + o.ACMEValues[i].Key
		case i < v+l:
			return "lock " + o.ACMELocks[i-v].Name
		}
		return "state of certificate " + o.ACMEStates[i-v-l].Certificate
	}
	return itemList{v + l + n, form, label}
}
