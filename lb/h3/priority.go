package h3

import "strings"

// inTurn has responses of one urgency share the connection, whatever the client says of incremental (RFC 9218, section 4.2; section 10 leaves it to the server). Those that
// quic-go is to send one after the other keep all later ones of their urgency waiting while the client does not read the first one: SendStream.popStreamFrame says of a stream
// that has no room in its window, and has been written to since it filled that, that there is more to send, and the framer asks no other one (v0.65.0; its pull request 5774).
const inTurn = true

// urgencyOf reads urgency of a Priority field (RFC 9218, section 4.1). What cannot be read counts as not said.
func urgencyOf(lines []string) int8 {
	urgency := int8(3)
	for _, line := range lines {
		for param := range strings.SplitSeq(line, ",") {
			if param = strings.TrimSpace(param); len(param) == 3 && strings.HasPrefix(param, "u=") && param[2] >= '0' && param[2] <= '7' {
				urgency = int8(param[2] - '0')
			}
		}
	}
	return urgency
}
