package wire

// ValidHost reports whether text may stand in Host: a DNS name, an IPv4 address or an IPv6 address in brackets, with or without a port.
func ValidHost(text string) bool { return validAuthority([]byte(text)) }
