package config

import "pgregory.net/rapid"

var anyNetworks = [][]string{nil, {"10.0.0.0/8"}, {"0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.7/32"}}

func drawProxy(r *rapid.T) Proxy {
	x := defaultProxy()
	x.TrustedProxies = rapid.SampledFrom(anyNetworks).Draw(r, "trusted")
	x.Forwarded = Forwarded{
		Mode:  rapid.SampledFrom([]string{"set", "append", "off"}).Draw(r, "mode"),
		Read:  rapid.SampledFrom([]string{"x-forwarded", "forwarded"}).Draw(r, "read"),
		Write: rapid.SampledFrom([]string{"x-forwarded", "forwarded", "both"}).Draw(r, "write"),
	}
	x.RequestID.Trust = rapid.SampledFrom([]string{"proxies", "all", "none"}).Draw(r, "trust")
	if x.RequestID.Header = rapid.SampledFrom([]string{"", "X-Request-Id", "X-1", "Null-Id"}).Draw(r, "header"); x.RequestID.Header != "" {
		x.RequestID.Respond = rapid.Bool().Draw(r, "respond")
	}
	x.Limits.Head = rapid.SampledFrom([]Size{minHead, 32 << 10, maxHead}).Draw(r, "head")
	x.Limits.Target = rapid.SampledFrom([]Size{minTarget, minHead}).Draw(r, "target")
	x.Limits.Lines = rapid.IntRange(minLines, maxLines).Draw(r, "lines")
	x.Limits.Body = rapid.SampledFrom([]Size{0, 1, 1023, maxBody}).Draw(r, "body")
	for _, d := range []*Duration{&x.Timeouts.Connect, &x.Timeouts.Head, &x.Timeouts.Idle} {
		*d = drawDuration(r, leastTimeout, 60*second)
	}
	for _, d := range []*Duration{&x.Timeouts.RequestBody, &x.Timeouts.ResponseBody, &x.Timeouts.Send, &x.Timeouts.Tunnel} {
		*d = rapid.SampledFrom([]Duration{0, leastTimeout, 24 * hour}).Draw(r, "timeout")
	}
	x.AccessLog.Format = rapid.SampledFrom([]string{"json", "combined", "off"}).Draw(r, "format")
	if x.AccessLog.Format == "json" {
		x.AccessLog.Fields = rapid.SampledFrom([][]string{nil, {"time"}, AccessLogFields}).Draw(r, "fields")
	}
	x.AccessLog.Sample = rapid.IntRange(1, maxSample).Draw(r, "sample")
	for range rapid.IntRange(0, 2).Draw(r, "pages") {
		x.ErrorPages = append(x.ErrorPages, drawPage(r))
	}
	return x
}

func drawPage(r *rapid.T) ErrorPage {
	text := rapid.OneOf(rapid.StringMatching(`[ -~\t\r\n\x{a0}-\x{2027}\x{2030}-\x{d7ff}\x{e000}-\x{fefe}\x{10000}-\x{10ffff}]{0,20}`),
		rapid.SampledFrom([]string{"", "null", "---", "- a\n- b: |\n  c\n", "<!doctype html>\n\t<p class='x'>{message} & \"{requestId}\" \\ # %s\n", "\r\n\r\n"}))
	return ErrorPage{
		Status: rapid.SampledFrom([]string{"503", "400-599", "502, 504", Maintenance}).Draw(r, "status"),
		HTML:   text.Draw(r, "html"), Text: "x" + text.Draw(r, "text"),
		JSON:       rapid.SampledFrom([]string{"", "null", "true", "1", `{"a": {status}, "b": ["{message}", "{requestId}"]}`}).Draw(r, "json"),
		RetryAfter: drawDuration(r, 0, 24*hour),
	}
}

func drawRates(r *rapid.T) Rates {
	x := Rates{RequestsPerSecond: rapid.SampledFrom([]int{0, 1, maxRate}).Draw(r, "rate"), Connections: rapid.IntRange(0, maxRate).Draw(r, "connections")}
	if x.RequestsPerSecond > 0 {
		x.Burst = rapid.SampledFrom([]int{0, 1, maxRate}).Draw(r, "burst")
	}
	return x
}
