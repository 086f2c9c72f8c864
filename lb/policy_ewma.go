package lb

import "time"

// unknownLatency stands for that of an instance which has requests but has answered none yet, in ns: longer than any real one.
const unknownLatency = 1e18

// expectedWait is the load of peak-ewma: the latency of the instance times what it would then have to do. One that has requests but has answered none
// yet is left alone until it has, unless all others are as unknown.
func expectedWait(in *instance, now time.Time) float64 {
	load := requestsOf(in, now)
	cost := float64(in.state.latency.value())
	if cost == 0 {
		return unknownLatency * load
	}
	return cost * (load + 1)
}
