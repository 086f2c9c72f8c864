package hostile

import "strings"

// sound makes a POST whose framing fields and body have one reading.
func sound(name, lines, rest, body string, has ...string) Request {
	return Request{Name: name, Raw: "POST /s HTTP/1.1\r\n" + host + lines + "\r\n" + rest, Sees: Reading{Method: "POST", Target: "/s", Body: body, Has: has}}
}

// asks makes a request without a body that arrives with the given target.
func asks(name, first, lines, target string, has ...string) Request {
	method, _, _ := strings.Cut(first, " ")
	return Request{Name: name, Raw: first + "\r\n" + lines + "\r\n", Sees: Reading{Method: method, Target: target, Has: has}}
}

// last marks a request after which the connection ends.
func last(r Request) Request {
	r.Sees.Last = true
	return r
}

const chunkedInner = "1e\r\n" // the first 30 bytes of inner; the rest is the second chunk

// innerChunks is inner in two chunks.
var innerChunks = chunkedInner + inner[:30] + "\r\na\r\n" + inner[30:] + "\r\n0\r\n\r\n"

var soundBodies = []Request{
	sound("length 0", "Content-Length: 0\r\n", "", ""),
	sound("no length", "", "", ""),
	sound("length with a request inside", "Content-Length: 40\r\n", inner, inner),
	sound("length with blanks around", "Content-Length: \t 40 \t\r\n", inner, inner),
	sound("length in capitals", "CONTENT-LENGTH: 40\r\n", inner, inner),
	sound("length without a blank", "content-length:40\r\n", inner, inner),
	sound("length first and last field", "Content-Length: 40\r\nX: 1\r\n", inner, inner),
	sound("length, continue not waited for", "Content-Length: 40\r\nExpect: 100-continue\r\n", inner, inner),
	sound("chunks with a request inside", "Transfer-Encoding: chunked\r\n", innerChunks, inner),
	sound("chunked in capitals", "TRANSFER-ENCODING: CHUNKED\r\n", innerChunks, inner),
	sound("chunked in mixed case", "transfer-Encoding: cHuNkEd\r\n", innerChunks, inner),
	sound("chunked with blanks around", "Transfer-Encoding: \t chunked \t\r\n", innerChunks, inner),
	sound("chunk size in capitals", "Transfer-Encoding: chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
	sound("chunk size with zeros", "Transfer-Encoding: chunked\r\n", "000a\r\n0123456789\r\n0000\r\n\r\n", "0123456789"),
	sound("chunk that looks like the last one", "Transfer-Encoding: chunked\r\n", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
	sound("chunk extension", "Transfer-Encoding: chunked\r\n", "5;a\r\nhello\r\n0\r\n\r\n", "hello"),
	sound("chunk extension with value", "Transfer-Encoding: chunked\r\n", "5;a=b;c=d\r\nhello\r\n0;e\r\n\r\n", "hello"),
	sound("chunk extension quoted", "Transfer-Encoding: chunked\r\n", "5;a=\"0;\\\"b\"\r\nhello\r\n0\r\n\r\n", "hello"),
	sound("chunks of one byte", "Transfer-Encoding: chunked\r\n", strings.Repeat("1\r\nx\r\n", 50)+"0\r\n\r\n", strings.Repeat("x", 50)),
	sound("empty chunks", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", ""),
	sound("trailer", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello"),
	sound("trailer not announced", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello"),
	sound("chunked, continue not waited for", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", innerChunks, inner),
	{Name: "GET with a request as its body (CL.0)", Raw: "GET /s HTTP/1.1\r\n" + host + "Content-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "GET", Target: "/s", Body: inner}},
	{Name: "GET with chunks", Raw: "GET /s HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + innerChunks, Sees: Reading{Method: "GET", Target: "/s", Body: inner}},
	{Name: "HEAD with a request as its body", Raw: "HEAD /s HTTP/1.1\r\n" + host + "Content-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "HEAD", Target: "/s", Body: inner}},
	{Name: "DELETE with a request as its body", Raw: "DELETE /s HTTP/1.1\r\n" + host + "Content-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "DELETE", Target: "/s", Body: inner}},
	{Name: "OPTIONS with chunks", Raw: "OPTIONS /s HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + innerChunks, Sees: Reading{Method: "OPTIONS", Target: "/s", Body: inner}},
	{Name: "one empty line before", Raw: "\r\nPOST /s HTTP/1.1\r\n" + host + "Content-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "POST", Target: "/s", Body: inner}},
	last(Request{Name: "HTTP/1.0 with a length", Raw: "POST /s HTTP/1.0\r\n" + host + "Content-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "POST", Target: "/s", Body: inner}}),
	{Name: "HTTP/1.0 with a length, kept alive", Raw: "POST /s HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nContent-Length: 40\r\n\r\n" + inner, Sees: Reading{Method: "POST", Target: "/s", Body: inner}},
	last(sound("close", "Content-Length: 40\r\nConnection: close\r\n", inner, inner)),
	last(sound("close among others", "Content-Length: 40\r\nConnection: x, CLOSE\r\n", inner, inner)),
	sound("upgrade that nobody takes", "Content-Length: 40\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", inner, inner),
	sound("upgrade to h2c", "Content-Length: 40\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n", inner, inner),
}

var soundFields = []Request{
	sound("Content_Length", "Content_Length: 40\r\n", "", "", "content_length: 40"),
	sound("Content-Length-", "Content-Length-: 40\r\n", "", ""),
	sound("X-Content-Length", "X-Content-Length: 40\r\n", "", "", "x-content-length: 40"),
	sound("Content-Lengt", "Content-Lengt: 40\r\n", "", ""),
	sound("Content-Length behind an apostrophe", "'Content-Length: 40\r\n", "", ""),
	sound("Transfer_Encoding", "Transfer_Encoding: chunked\r\nContent-Length: 40\r\n", inner, inner),
	sound("Transfer-Encoding-", "Transfer-Encoding-: chunked\r\nContent-Length: 40\r\n", inner, inner),
	sound("X-Transfer-Encoding", "X-Transfer-Encoding: chunked\r\nContent-Length: 40\r\n", inner, inner),
	sound("Transfer.Encoding", "Transfer.Encoding: chunked\r\nContent-Length: 40\r\n", inner, inner),
	sound("TE is no Transfer-Encoding", "TE: chunked\r\nContent-Length: 40\r\n", inner, inner),
	sound("Content-Encoding is no Transfer-Encoding", "Content-Encoding: chunked\r\nContent-Length: 40\r\n", inner, inner, "content-encoding: chunked"),
	sound("Connection names Content-Length", "Connection: Content-Length\r\nContent-Length: 40\r\n", inner, inner),
	sound("Connection names Transfer-Encoding", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", innerChunks, inner),
	sound("Connection names Host", "Connection: Host\r\nContent-Length: 40\r\n", inner, inner, "host: a.example"),
	sound("Connection names Cookie", "Connection: Cookie\r\nCookie: a=b\r\nContent-Length: 40\r\n", inner, inner, "cookie: a=b"),
	sound("Proxy-Connection", "Proxy-Connection: close\r\nContent-Length: 40\r\n", inner, inner),
	sound("Keep-Alive", "Keep-Alive: timeout=0, max=1\r\nContent-Length: 40\r\n", inner, inner),
	sound("X-HTTP-Method-Override", "X-HTTP-Method-Override: GET\r\nContent-Length: 40\r\n", inner, inner, "x-http-method-override: GET"),
	sound("tab in a value", "X: a\tb\r\n", "", ""),
	sound("Latin-1 in a value", "X: \xe4\xf6\xfc\r\n", "", "", "x: \xe4\xf6\xfc"),
	sound("UTF-8 in a value", "X: \xe5\x98\x8d\xe5\x98\x8a\r\n", "", "", "x: \xe5\x98\x8d\xe5\x98\x8a"),
	sound("NEL in a value", "X: a\xc2\x85Content-Length: 40\r\n", "", ""),
	sound("empty value", "X:\r\n", "", "", "x: "),
	sound("colons in a value", "X: : :a:\r\n", "", "", "x: : :a:"),
	sound("every token byte in a name", "!#$%&'*+-.^_`|~09AZaz: 1\r\n", "", ""),
	sound("two of a field", "X: 1\r\nX: 2\r\n", "", "", "x: 1", "x: 2"),
	sound("long value", "X: "+strings.Repeat("x", 20<<10)+"\r\n", "", ""),
	sound("90 fields", strings.Repeat("X: 1\r\n", 90), "", ""),
}

var soundTargets = []Request{
	asks("plain", "GET /s HTTP/1.1", host, "/s", "host: a.example"),
	asks("two slashes", "GET //b.example/s HTTP/1.1", host, "//b.example/s", "host: a.example"),
	asks("escaped line end", "GET /s%0d%0aX:%20y HTTP/1.1", host, "/s%0d%0aX:%20y"),
	asks("escaped slash", "GET /s%2fa%2Fb HTTP/1.1", host, "/s%2fa%2Fb"),
	asks("escaped hash and question mark", "GET /s%23a%3fb HTTP/1.1", host, "/s%23a%3fb"),
	asks("parameters", "GET /s;a=b;c HTTP/1.1", host, "/s;a=b;c"),
	asks("odd query", "GET /s?a=%zz&&b?c=/../%00 HTTP/1.1", host, "/s?a=%zz&&b?c=/../%00"),
	asks("empty query", "GET /s? HTTP/1.1", host, "/s?"),
	asks("a target in a target", "GET /http://b.example/s HTTP/1.1", host, "/http://b.example/s"),
	asks("a query that looks like a request", "GET /s?%20HTTP/1.1%0d%0aHost:%20b HTTP/1.1", host, "/s?%20HTTP/1.1%0d%0aHost:%20b"),
	asks("long target", "GET /s?"+strings.Repeat("a", 8000)+" HTTP/1.1", host, "/s?"+strings.Repeat("a", 8000)),
	asks("absolute form", "GET http://a.example/s?b HTTP/1.1", host, "/s?b", "host: a.example"),
	asks("absolute form in capitals", "GET HTTP://A.EXAMPLE/s HTTP/1.1", host, "/s"),
	asks("absolute form without a path", "GET http://a.example HTTP/1.1", host, "/"),
	asks("absolute form with a port", "GET http://a.example:81/s HTTP/1.1", "Host: a.example:81\r\n", "/s", "host: a.example:81"),
	asks("asterisk", "OPTIONS * HTTP/1.1", host, "*"),
	asks("Host with a port", "GET /s HTTP/1.1", "Host: a.example:8080\r\n", "/s", "host: a.example:8080"),
	asks("Host in capitals", "GET /s HTTP/1.1", "HOST: A.EXAMPLE\r\n", "/s"),
	asks("Host with a dot at its end", "GET /s HTTP/1.1", "Host: a.example.\r\n", "/s"),
	asks("Host is an IPv6 address", "GET /s HTTP/1.1", "Host: [2001:db8::1]:80\r\n", "/s", "host: [2001:db8::1]:80"),
	asks("Host with blanks around", "GET /s HTTP/1.1", "Host: \t a.example \t\r\n", "/s", "host: a.example"),
	asks("X-Forwarded-Host is not Host", "GET /s HTTP/1.1", host+"X-Forwarded-Host: b.example\r\n", "/s", "host: a.example"),
	asks("X-Original-URL is not the target", "GET /s HTTP/1.1", host+"X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n", "/s"),
	asks("unknown method", "FROB /s HTTP/1.1", host, "/s"),
	asks("method in lower case", "get /s HTTP/1.1", host, "/s"),
	asks("method TRACE", "TRACE /s HTTP/1.1", host, "/s"),
	last(asks("HTTP/1.0 with a host", "GET /s HTTP/1.0", host, "/s")),
}
