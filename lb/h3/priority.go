package h3

import "strings"

// priorityOf reads urgency and incremental of a Priority field (RFC 9218, section 4). What cannot be read counts as not said.
func priorityOf(lines []string) (urgency int8, incremental bool) {
	urgency = 3
	for _, line := range lines {
		for param := range strings.SplitSeq(line, ",") {
			switch param = strings.TrimSpace(param); {
			case param == "i", param == "i=?1":
				incremental = true
			case param == "i=?0":
				incremental = false
			case len(param) == 3 && strings.HasPrefix(param, "u=") && param[2] >= '0' && param[2] <= '7':
				urgency = int8(param[2] - '0')
			}
		}
	}
	return urgency, incremental
}
