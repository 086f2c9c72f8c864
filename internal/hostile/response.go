package hostile

import "strings"

// Response is what an instance answers to a GET. Either it is refused, and the client gets an answer of the proxy's own (502 or 504), or the client gets one
// reading of it. Whatever it was, nobody else gets a byte of it.
type Response struct {
	Name string
	// Raw is sent as it is, when the request's head has come.
	Raw string
	// Close ends the connection after it; otherwise the instance waits for the next request.
	Close bool
	// Method is that of the request, default GET.
	Method string
	// Sees is the one reading; Bodies are those that a client may get, none: it must be refused.
	Status int
	Bodies []string
	// Short says that the client's answer may break off: its head had left when the rest turned out to be wrong.
	Short bool
}

// Stolen is in every byte that no client may see.
const Stolen = "STOLEN"

// another is an answer that nobody asked for.
const another = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + Stolen

func refusal(name, raw string) Response { return Response{Name: name, Raw: raw} }

func reading(name, raw, body string) Response {
	return Response{Name: name, Raw: raw, Status: 200, Bodies: []string{body}}
}

// either is refused or has that reading: the sources leave it to the recipient, and both are safe.
func either(name, raw, body string) Response {
	return Response{Name: name, Raw: raw, Status: 200, Bodies: []string{body}, Short: true}
}

// withFields has a body of 2 bytes whose length is sound, and more field lines.
func withFields(lines string) string {
	return "HTTP/1.1 200 OK\r\n" + lines + "Content-Length: 2\r\n\r\nok"
}

// Responses gives the corpus.
func Responses() []Response {
	var all []Response
	for _, part := range [][]Response{framedTwice, heads, versionsOfAnswers, nobodys, chunkedAnswers, interims} {
		all = append(all, part...)
	}
	return all
}

// RFC 9112 section 6.3: a response with two framings, or with a length that is none, is not to be trusted.
var framedTwice = []Response{
	refusal("CL CL different", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok"+another),
	either("CL CL equal", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
	refusal("CL list different", "HTTP/1.1 200 OK\r\nContent-Length: 2, 5\r\n\r\nok"+another),
	either("CL list equal", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "ok"),
	refusal("CL minus", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
	refusal("CL plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
	refusal("CL hex", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok"),
	refusal("CL beyond int63", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok"),
	either("CL and TE", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
	either("TE and CL", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"+another, "ok"),
	either("TE TE", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
	refusal("TE twice in list", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
	refusal("TE unknown", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
	refusal("TE identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"),
}

// RFC 9112 sections 4 and 5.
var heads = []Response{
	refusal("CR in a value", withFields("X: a\rContent-Length: 5\r\n")),
	refusal("NUL in a value", withFields("X: a\x00b\r\n")),
	either("space before the colon", withFields("X : 1\r\n"), "ok"),
	either("coding with a space before the colon", withFields("Transfer-Encoding : chunked\r\n"), "ok"),
	refusal("no colon", withFields("X\r\n")),
	refusal("empty name", withFields(": 1\r\n")),
	either("space in a name", withFields("X Y: 1\r\n"), "ok"),
	either("folded value", withFields("X: a\r\n Content-Length: 5\r\n"), "ok"),
	either("LF line ends", "HTTP/1.1 200 OK\nX: 1\nContent-Length: 2\n\nok", "ok"),
	either("LF line end before a length", withFields("X: a\n"), "ok"),
	refusal("head of 2 MiB", withFields(strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 2000))),
	refusal("head of 100,000 fields", withFields(strings.Repeat("X: 1\r\n", 400_000))),
	{Name: "head that ends in the middle", Raw: "HTTP/1.1 200 OK\r\nContent-Le", Close: true},
	{Name: "nothing", Raw: "", Close: true},
	refusal("empty lines first", "\r\n\r\n"+another),
	refusal("a space first", " HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
}

// RFC 9112 section 2.3.
var versionsOfAnswers = []Response{
	{Name: "HTTP/0.9", Raw: Stolen + " and no head at all\r\n\r\n", Close: true},
	either("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
	refusal("HTTP/3", "HTTP/3 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("http/1.1", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("ICY", "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("status with a sign", "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"),
	refusal("no status", "HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"),
	reading("no reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok"),
	{Name: "HTTP/1.0 to the end", Raw: "HTTP/1.0 200 OK\r\n\r\nok", Close: true, Status: 200, Bodies: []string{"ok"}},
	{Name: "TLS", Raw: "\x15\x03\x01\x00\x02\x02\x16", Close: true},
	refusal("another protocol", "220 mail ESMTP\r\n"+another),
	refusal("a request", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
}

// What comes without having been asked for: RFC 9112 section 6.3 (no body), 9.2 (a second answer).
var nobodys = []Response{
	reading("a second answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+another, "ok"),
	reading("a second answer behind chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"+another, "ok"),
	reading("ten more answers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+strings.Repeat(another, 10), "ok"),
	reading("longer than its length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+Stolen, "ok"),
	{Name: "204 with a body", Raw: "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n" + Stolen, Status: 204, Bodies: []string{""}, Short: true},
	{Name: "204 with chunks", Raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + Stolen + "\r\n0\r\n\r\n", Status: 204, Bodies: []string{""}, Short: true},
	{Name: "304 with a body", Raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n" + Stolen, Status: 304, Bodies: []string{""}, Short: true},
	{Name: "304 with an answer as its body", Raw: "HTTP/1.1 304 Not Modified\r\n\r\n" + another, Status: 304, Bodies: []string{""}, Short: true},
	{Name: "HEAD with a body", Method: "HEAD", Raw: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + Stolen, Status: 200, Bodies: []string{""}, Short: true},
	{Name: "HEAD with chunks", Method: "HEAD", Raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + Stolen + "\r\n0\r\n\r\n", Status: 200, Bodies: []string{""}, Short: true},
	{Name: "HEAD with an answer as its body", Method: "HEAD", Raw: "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n" + another, Status: 200, Bodies: []string{""}, Short: true},
	refusal("a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"+Stolen),
}

// RFC 9112 section 7.1. The head has left when a chunk breaks, so the client's answer breaks off.
var chunkedAnswers = []Response{
	breaksOff("chunk size not hex", "x\r\nok\r\n0\r\n\r\n"),
	breaksOff("chunk size wraps", "10000000000000002\r\nok\r\n0\r\n\r\n"),
	breaksOff("chunk size minus", "-2\r\nok\r\n0\r\n\r\n"),
	breaksOff("chunk without its end", "2\r\nokXX0\r\n\r\n"),
	breaksOff("chunk shorter than its size", "6\r\nok\r\n0\r\n\r\n"+another),
	breaksOff("trailer without a colon", "2\r\nok\r\n0\r\nX\r\n\r\n"+another),
	chunkedReading("trailer says Content-Length", "2\r\nok\r\n0\r\nContent-Length: 6\r\n\r\n"+another),
	chunkedReading("trailer says Transfer-Encoding", "2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"+another),
	chunkedReading("trailer says Set-Cookie", "2\r\nok\r\n0\r\nSet-Cookie: a=b\r\n\r\n"),
	chunkedReading("trailer says Connection", "2\r\nok\r\n0\r\nConnection: close\r\n\r\n"),
	chunkedReading("chunk extension", "2;a=b\r\nok\r\n0\r\n\r\n"),
	{Name: "length and less", Raw: "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok", Close: true, Status: 200, Bodies: []string{"ok"}, Short: true},
	{Name: "chunks without the last one", Raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", Close: true, Status: 200, Bodies: []string{"ok"}, Short: true},
}

func breaksOff(name, body string) Response {
	return Response{Name: name, Raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, Close: true, Status: 200, Bodies: []string{"", "ok", "ok\r\n0\r"}, Short: true}
}

func chunkedReading(name, body string) Response {
	return either(name, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body, "ok")
}

// RFC 9110 section 15.2.
var interims = []Response{
	reading("three hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3)+withFields(""), "ok"),
	reading("continue that nobody waits for", "HTTP/1.1 100 Continue\r\n\r\n"+withFields(""), "ok"),
	refusal("interim answers without end", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5000)),
	either("interim answer with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\n"+withFields(""), "ok"),
}
