// Package hostile has what attacks a proxy from both sides: requests and responses that two readers could read in two ways, an origin and an instance that
// write down and answer with bytes, and a client that tries it all against an address. It knows nothing of what stands behind that address, so one corpus
// tests a parser, an engine in the test's own process, and a real process with real servers behind it.
//
//	Requests   the requests; each is refused with one status, or has one reading
//	Responses  the responses; each is refused, or has one reading
//	Origin     a strict instance that says how many requests arrived, and how they were framed
//	Script     an instance that answers with the bytes it is told to
//	Trial      sends one request of the corpus in one Way, and says what was wrong
//
// The sources are RFC 9110, RFC 9112, and the public work on request smuggling (Watchfire 2005, Kettle 2019 and 2022, Jabiyev et al. 2021, Klein 2020).
package hostile
