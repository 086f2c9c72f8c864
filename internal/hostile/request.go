package hostile

import (
	"slices"
	"strings"
)

// Request is one request that somebody could read in two ways. Either it is refused with Status and nothing of it passes, or Status is 0 and what passes is
// exactly Sees.
type Request struct {
	Name string
	Raw  string
	// Why says what makes it ambiguous, with the source; Requests fills it in from the group.
	Why string
	// Status is that of the refusal.
	Status int
	// Body says that the head is sound: it may pass, and the refusal is for what follows it.
	Body bool
	// Sees is the one reading, for requests that are taken.
	Sees Reading
}

// Reading is a request as the instance sees it.
type Reading struct {
	Method, Target, Body string
	// Has are field lines "name: value", in lower case, that must be there.
	Has []string
	// Last says that no request follows on the connection: the client, or its version, ends it.
	Last bool
}

// Inner is what hides in bodies: a reader that takes the framing in another way sees a second request.
const Inner = "GET /inner HTTP/1.1\r\nHost: a.example\r\n\r\n"

const inner = Inner

// Cut says that the request is refused only because the client ends it: as long as more may come, nothing is wrong.
func (r Request) Cut() bool { return strings.HasPrefix(r.Name, "cut ") }

// Refused says that the request is not to be taken.
func (r Request) Refused() bool { return r.Status != 0 }

// Group is a table of requests with one reason.
type Group struct {
	Name, Why string
	Requests  []Request
}

// Groups gives the corpus, by what is ambiguous.
func Groups() []Group {
	return []Group{
		{"request line", "RFC 9112 section 3: method SP target SP version CRLF and nothing else; every leniency of section 2.2 is a second reading", requestLines},
		{"target", "RFC 9112 section 3.2: four forms; what a target may not hold is cut, decoded or normalised by some reader; an absolute form that differs from Host has two hosts", targets},
		{"version", "RFC 9112 section 2.3: another version is another framing", versions},
		{"field", "RFC 9112 sections 5.1 and 5.2: a name ends at its colon and a line at CRLF; white space, folds and control bytes hide a field from one reader", fields},
		{"Host", "RFC 9112 section 3.2: exactly one Host; routing by one and serving by another is how caches are poisoned", hostFields},
		{"Content-Length", "RFC 9110 section 8.6, RFC 9112 section 6.3: one number of digits, or the body has two ends (CL.CL, CL.0)", lengths},
		{"Transfer-Encoding", "RFC 9112 sections 6.1 and 6.3: chunked alone and without Content-Length, or one reader takes the coding and the next one the length (CL.TE, TE.CL, TE.TE)", codings},
		{"chunk", "RFC 9112 section 7.1: size, extensions and ends of chunks; who reads a size differently ends the body elsewhere", chunkBodies},
		{"trailer", "RFC 9110 section 6.5.1, RFC 9112 section 7.1.2: a trailer that is merged into the head changes framing, routing or authority", trailerBodies},
		{"size", "heads without bounds: memory, and a reader that cuts them", sizes},
		{"one reading: bodies", "unusual but unambiguous framing; the body holds a request that must stay a body", soundBodies},
		{"one reading: fields", "names that look like framing to readers that are not exact; options of the connection that would hide the framing", soundFields},
		{"one reading: targets and hosts", "unusual but valid: what arrives is what was sent, byte for byte", soundTargets},
	}
}

// Requests gives the corpus as one list.
func Requests() []Request {
	var all []Request
	for _, g := range Groups() {
		for _, r := range g.Requests {
			r.Why = g.Name + ": " + g.Why
			all = append(all, r)
		}
	}
	return all
}

// Refused gives the requests that must not pass.
func Refused() []Request {
	return slices.DeleteFunc(Requests(), func(r Request) bool { return !r.Refused() })
}

// BodiesRefused gives those whose head passes and whose body does not.
func BodiesRefused() []Request {
	return slices.DeleteFunc(Requests(), func(r Request) bool { return !r.Body })
}

// Cuts gives the places where a reader could take what it has for whole, or lose what it has noted: in and after line ends, around colons and blanks, in the
// first bytes of the body; at most n of them, spread evenly.
func (r Request) Cuts(n int) []int {
	var all []int
	for i := 1; i < len(r.Raw); i++ {
		before, at := r.Raw[i-1], r.Raw[i]
		if strings.IndexByte("\r\n: \t;,", before) >= 0 || strings.IndexByte("\r\n:\x00", at) >= 0 {
			all = append(all, i)
		}
	}
	if len(all) <= n {
		return all
	}
	var some []int
	for i := range n {
		some = append(some, all[i*len(all)/n])
	}
	return some
}
