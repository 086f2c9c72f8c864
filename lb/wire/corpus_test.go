package wire_test

import "strings"

// hostile is a request that must not be passed on. In body cases the head is
// fine and the handler answers with the status of the violation.
type hostile struct {
	name   string
	raw    string
	status int
	body   bool
}

const host = "Host: a.example\r\n"

// line makes a request whose request line is the interesting part.
func line(name, first string, status int) hostile {
	return hostile{name: name, raw: first + "\r\n" + host + "\r\n", status: status}
}

// field makes a request with more field lines, each with its own line end.
func field(name, lines string, status int) hostile {
	return hostile{name: name, raw: "POST /f HTTP/1.1\r\n" + host + lines + "\r\n", status: status}
}

// hosts makes a request with nothing but these lines.
func hosts(name, lines string) hostile {
	return hostile{name: name, raw: "GET /h HTTP/1.1\r\n" + lines + "\r\n", status: 400}
}

// smuggle makes a request with framing fields and bytes behind the head that
// would be a request in one of the readings.
func smuggle(name, lines, rest string, status int) hostile {
	return hostile{name: name, raw: "POST /s HTTP/1.1\r\n" + host + lines + "\r\n" + rest, status: status}
}

// chunks makes a chunked request with a bad body.
func chunks(name, body string, status int) hostile {
	return hostile{name: name, raw: "POST /c HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + body, status: status, body: true}
}

const inner = "GET /inner HTTP/1.1\r\nHost: a.example\r\n\r\n"

var corpus = func() []hostile {
	var all []hostile
	for _, part := range [][]hostile{requestLines, targets, versions, fields, hostFields, lengths, codings, chunkBodies, trailerBodies, sizes} {
		all = append(all, part...)
	}
	return all
}()

var requestLines = []hostile{
	line("leading space", " GET / HTTP/1.1", 400),
	line("leading tab", "\tGET / HTTP/1.1", 400),
	line("two empty lines", "\r\n\r\nGET / HTTP/1.1", 400),
	line("empty line with bare LF", "\nGET / HTTP/1.1", 400),
	line("empty line with bare CR", "\rGET / HTTP/1.1", 400),
	line("CR CR LF before", "\r\r\nGET / HTTP/1.1", 400),
	line("no method", " / HTTP/1.1", 400),
	line("method with colon", "GET: / HTTP/1.1", 400),
	line("method with slash", "GE/T / HTTP/1.1", 400),
	line("method with parenthesis", "GET( / HTTP/1.1", 400),
	line("method with NUL", "GE\x00T / HTTP/1.1", 400),
	line("method with DEL", "GET\x7f / HTTP/1.1", 400),
	line("method not ASCII", "G\xc3\x89T / HTTP/1.1", 400),
	line("method too long", strings.Repeat("M", 33)+" / HTTP/1.1", 501),
	line("method endless", strings.Repeat("M", 9000), 501),
	line("two spaces after method", "GET  / HTTP/1.1", 400),
	line("tab after method", "GET\t/ HTTP/1.1", 400),
	line("form feed after method", "GET\x0c/ HTTP/1.1", 400),
	line("two spaces before version", "GET /  HTTP/1.1", 400),
	line("tab before version", "GET /\tHTTP/1.1", 400),
	line("trailing space", "GET / HTTP/1.1 ", 400),
	line("trailing tab", "GET / HTTP/1.1\t", 400),
	line("trailing junk", "GET / HTTP/1.1 x", 400),
	line("only method", "GET", 400),
	line("only method and space", "GET ", 400),
	line("HTTP/0.9", "GET /", 400),
	line("HTTP/0.9 with space", "GET / ", 400),
	{name: "request line ends in LF", raw: "GET / HTTP/1.1\n" + host + "\r\n", status: 400},
	{name: "request line ends in CR", raw: "GET / HTTP/1.1\r" + host + "\r\n", status: 400},
	{name: "request line ends in CR CR LF", raw: "GET / HTTP/1.1\r\r\n" + host + "\r\n", status: 400},
	{name: "header before request line", raw: host + "GET / HTTP/1.1\r\n\r\n", status: 400},
	{name: "TLS client hello", raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", status: 400},
	{name: "NUL first", raw: "\x00" + inner, status: 400},
	{name: "HTTP response", raw: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 400},
	{name: "byte order mark", raw: "\xef\xbb\xbf" + inner, status: 400},
	{name: "SSH banner", raw: "SSH-2.0-OpenSSH_9.9\r\n", status: 400},
	{name: "cut in request line", raw: "GET / HT", status: 400},
	{name: "cut in a field", raw: "GET / HTTP/1.1\r\nHost: a.exa", status: 400},
	{name: "cut before the end", raw: "GET / HTTP/1.1\r\n" + host, status: 400},
	{name: "cut in the end", raw: "GET / HTTP/1.1\r\n" + host + "\r", status: 400},
}

var targets = []hostile{
	line("fragment", "GET /a#b HTTP/1.1", 400),
	line("only fragment", "GET # HTTP/1.1", 400),
	line("fragment in query", "GET /?a#b HTTP/1.1", 400),
	line("space in target", "GET /a b HTTP/1.1", 400),
	line("NUL in target", "GET /a\x00b HTTP/1.1", 400),
	line("SOH in target", "GET /a\x01 HTTP/1.1", 400),
	line("VT in target", "GET /a\x0bb HTTP/1.1", 400),
	line("DEL in target", "GET /a\x7f HTTP/1.1", 400),
	line("UTF-8 in target", "GET /\xc3\xa4 HTTP/1.1", 400),
	line("Latin-1 in query", "GET /?\xe4 HTTP/1.1", 400),
	line("fullwidth LF in target", "GET /\xe5\x98\x8a HTTP/1.1", 400),
	line("CR in target", "GET /a\rb HTTP/1.1", 400),
	line("LF in target", "GET /a\nb HTTP/1.1", 400),
	line("CRLF in target", "GET /a\r\nX: HTTP/1.1", 400),
	line("lone percent", "GET /% HTTP/1.1", 400),
	line("short escape", "GET /a%2 HTTP/1.1", 400),
	line("escape that is not hex", "GET /a%zz HTTP/1.1", 400),
	line("IE escape", "GET /%u002f HTTP/1.1", 400),
	line("relative target", "GET a/b HTTP/1.1", 400),
	line("dot target", "GET ../a HTTP/1.1", 400),
	line("only query", "GET ?a HTTP/1.1", 400),
	line("asterisk for GET", "GET * HTTP/1.1", 400),
	line("asterisk for PRI", "PRI * HTTP/1.1", 400),
	line("asterisk and more", "OPTIONS *a HTTP/1.1", 400),
	line("asterisk and query", "OPTIONS *?a HTTP/1.1", 400),
	line("authority form", "GET a.example:80 HTTP/1.1", 400),
	line("CONNECT", "CONNECT a.example:443 HTTP/1.1", 501),
	line("CONNECT with path", "CONNECT / HTTP/1.1", 501),
	line("CONNECT absolute", "CONNECT http://a.example/ HTTP/1.1", 501),
	line("absolute with other host", "GET http://b.example/ HTTP/1.1", 400),
	line("absolute with other port", "GET http://a.example:81/ HTTP/1.1", 400),
	line("absolute with default port", "GET http://a.example:80/ HTTP/1.1", 400),
	line("absolute with longer host", "GET http://a.example.b/ HTTP/1.1", 400),
	line("absolute with user", "GET http://u@a.example/ HTTP/1.1", 400),
	line("absolute with user and password", "GET http://a.example:x@b.example/ HTTP/1.1", 400),
	line("absolute without host", "GET http:///a HTTP/1.1", 400),
	line("absolute with nothing", "GET http:// HTTP/1.1", 400),
	line("absolute with one slash", "GET http:/a.example/ HTTP/1.1", 400),
	line("absolute opaque", "GET http:a.example HTTP/1.1", 400),
	line("absolute other scheme", "GET ftp://a.example/ HTTP/1.1", 400),
	line("absolute file", "GET file:///etc/passwd HTTP/1.1", 400),
	line("absolute without scheme", "GET ://a.example/ HTTP/1.1", 400),
	line("absolute with backslash", "GET http://a.example\\b/ HTTP/1.1", 400),
	line("absolute with escape in host", "GET http://a%2eexample/ HTTP/1.1", 400),
	line("absolute with bad escape", "GET http://a.example/%x HTTP/1.1", 400),
	line("absolute with bad port", "GET http://a.example:x/ HTTP/1.1", 400),
	line("target too long", "GET /"+strings.Repeat("a", 8192)+" HTTP/1.1", 414),
	line("query too long", "GET /?"+strings.Repeat("a", 9000)+" HTTP/1.1", 414),
	line("absolute too long", "GET http://a.example/"+strings.Repeat("a", 9000)+" HTTP/1.1", 414),
	{name: "target endless", raw: "GET /" + strings.Repeat("a", 64<<10), status: 414},
}

var versions = []hostile{
	line("HTTP/2.0", "GET / HTTP/2.0", 505),
	line("HTTP/3.0", "GET / HTTP/3.0", 505),
	line("HTTP/0.9", "GET / HTTP/0.9", 505),
	line("HTTP/1.2", "GET / HTTP/1.2", 505),
	line("HTTP/9.9", "GET / HTTP/9.9", 505),
	{name: "HTTP/2 preface", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", status: 505},
	line("HTTP/2", "GET / HTTP/2", 400),
	line("HTTP/1", "GET / HTTP/1", 400),
	line("HTTP/1.", "GET / HTTP/1.", 400),
	line("HTTP/1.10", "GET / HTTP/1.10", 400),
	line("HTTP/01.1", "GET / HTTP/01.1", 400),
	line("HTTP/1,1", "GET / HTTP/1,1", 400),
	line("HTTP/ 1.1", "GET / HTTP/ 1.1", 400),
	line("HTTP/-1.1", "GET / HTTP/-1.1", 400),
	line("HTTP/x.y", "GET / HTTP/x.y", 400),
	line("http/1.1", "GET / http/1.1", 400),
	line("HTTPS/1.1", "GET / HTTPS/1.1", 400),
	line("ICY", "GET / ICY", 400),
	line("RTSP", "OPTIONS / RTSP/1.0", 400),
}

var fields = []hostile{
	field("space before colon", "X : 1\r\n", 400),
	field("tab before colon", "X\t: 1\r\n", 400),
	field("VT before colon", "X\x0b: 1\r\n", 400),
	field("NUL before colon", "X\x00: 1\r\n", 400),
	field("empty name", ": 1\r\n", 400),
	field("no colon", "X\r\n", 400),
	field("space in name", "X Y: 1\r\n", 400),
	field("parenthesis in name", "X(: 1\r\n", 400),
	field("slash in name", "X/Y: 1\r\n", 400),
	field("quote in name", "\"X\": 1\r\n", 400),
	field("name not ASCII", "X\xe9: 1\r\n", 400),
	field("NUL in name", "\x00X: 1\r\n", 400),
	field("brackets in name", "[X]: 1\r\n", 400),
	field("NUL in value", "X: a\x00b\r\n", 400),
	field("BEL in value", "X: a\x07b\r\n", 400),
	field("ESC in value", "X: \x1b[2J\r\n", 400),
	field("DEL in value", "X: a\x7fb\r\n", 400),
	field("DEL in a long value", "X: aaaaaaaaaaaaaaaaaa\x7fbbbbbbbbbbbbbb\r\n", 400),
	field("CR in value", "X: a\rb\r\n", 400),
	field("CR at end of value", "X: a\r\r\n", 400),
	field("CR before injected field", "X: a\rTransfer-Encoding: chunked\r\n", 400),
	field("LF line end", "X: a\n", 400),
	field("LF LF line end", "X: a\n\n", 400),
	field("LF before injected field", "X: a\nTransfer-Encoding: chunked\r\n", 400),
	field("LF CR line end", "X: a\n\r", 400),
	{name: "head ends in LF LF", raw: "GET / HTTP/1.1\n" + "Host: a.example\n\n", status: 400},
	{name: "head ends in CRLF LF", raw: "GET / HTTP/1.1\r\n" + host + "\n", status: 400},
	{name: "head ends in CR CR", raw: "GET / HTTP/1.1\r" + "Host: a.example\r\r", status: 400},
	field("folded with space", "X: a\r\n b\r\n", 400),
	field("folded with tab", "X: a\r\n\tb\r\n", 400),
	field("folded empty", "X: a\r\n \r\n", 400),
	field("folded coding", "Transfer-Encoding:\r\n chunked\r\n", 400),
	field("folded length", "Content-Length:\r\n\t5\r\n", 400),
	{name: "first field folded", raw: "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", status: 400},
	{name: "space line first", raw: "GET / HTTP/1.1\r\n \r\n" + host + "\r\n", status: 400},
	field("Trailer names Content-Length", "Transfer-Encoding: chunked\r\nTrailer: content-length\r\n", 400),
	field("Trailer names Transfer-Encoding", "Transfer-Encoding: chunked\r\nTrailer: X-A, Transfer-Encoding\r\n", 400),
	field("Trailer names Host", "Transfer-Encoding: chunked\r\nTrailer: host\r\n", 400),
}

var hostFields = []hostile{
	hosts("no Host", ""),
	hosts("no Host but others", "X: 1\r\n"),
	hosts("two Host", host+host),
	hosts("two different Host", host+"Host: b.example\r\n"),
	hosts("two Host in other case", host+"hOST: a.example\r\n"),
	hosts("empty Host", "Host:\r\n"),
	hosts("Host list", "Host: a.example, b.example\r\n"),
	hosts("Host with comma", "Host: a,b\r\n"),
	hosts("Host with space", "Host: a b\r\n"),
	hosts("Host with tab", "Host: a\tb\r\n"),
	hosts("Host with slash", "Host: a.example/b\r\n"),
	hosts("Host with scheme", "Host: http://a.example\r\n"),
	hosts("Host with user", "Host: u@a.example\r\n"),
	hosts("Host with query", "Host: a.example?b\r\n"),
	hosts("Host with fragment", "Host: a.example#b\r\n"),
	hosts("Host with backslash", "Host: a\\b\r\n"),
	hosts("Host with quote", "Host: \"a\"\r\n"),
	hosts("Host with less-than", "Host: a<b\r\n"),
	hosts("Host with escape", "Host: a%00\r\n"),
	hosts("Host not ASCII", "Host: \xc3\xa4.example\r\n"),
	hosts("Host with NUL", "Host: a\x00\r\n"),
	hosts("Host with bad port", "Host: a:x\r\n"),
	hosts("Host with signed port", "Host: a:-1\r\n"),
	hosts("Host with two ports", "Host: a:1:2\r\n"),
	hosts("Host with large port", "Host: a:65536\r\n"),
	hosts("Host with long port", "Host: a:000080\r\n"),
	hosts("Host only port", "Host: :80\r\n"),
	hosts("Host IPv6 without brackets", "Host: ::1\r\n"),
	hosts("Host IPv6 unclosed", "Host: [::1\r\n"),
	hosts("Host IPv6 empty", "Host: []\r\n"),
	hosts("Host IPv6 with junk", "Host: [::1]x\r\n"),
	hosts("Host IPv6 with zone", "Host: [fe80::1%25eth0]\r\n"),
	hosts("Host IPv6 two gaps", "Host: [1::2::3]\r\n"),
	hosts("Host IPv6 too long", "Host: [1:2:3:4:5:6:7:8:9]\r\n"),
	hosts("Host IPv6 too short", "Host: [1:2:3:4:5:6:7]\r\n"),
	hosts("Host IPv6 group too long", "Host: [12345::]\r\n"),
	hosts("Host IPv6 with bad IPv4", "Host: [::256.0.0.1]\r\n"),
	hosts("Host IPv6 colon at end", "Host: [1:2:3:4:5:6:7:]\r\n"),
	hosts("Host future address", "Host: [v1.a]\r\n"),
	hosts("Host too long", "Host: "+strings.Repeat("a", 256)+"\r\n"),
	hosts("Host with space before colon", "Host : a.example\r\n"),
	{name: "two Host in HTTP/1.0", raw: "GET / HTTP/1.0\r\n" + host + host + "\r\n", status: 400},
	{name: "bad Host in HTTP/1.0", raw: "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", status: 400},
	{name: "HTTP/1.0 absolute and other Host", raw: "GET http://b.example/ HTTP/1.0\r\n" + host + "\r\n", status: 400},
}
