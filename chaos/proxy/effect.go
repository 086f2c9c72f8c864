package proxy

import (
	"errors"
	"fmt"
	"time"
)

// Effect is what happens to the bytes that one party sends to another. The zero value is nothing.
type Effect struct {
	// Hold lets them wait until the effect is lifted; then they go on, as after a retransmission.
	Hold bool
	// Delay is added to each piece; Jitter is the most that is added beyond that, drawn for each piece. The order stays.
	Delay, Jitter time.Duration
	// Rate is how many bytes pass in a second, 0: as many as come.
	Rate int
	// Loss is the share (0 to 1) of pieces that the network loses: each of them, and all behind it, waits for a retransmission.
	Loss float64
	// Break is the share (0 to 1) of pieces at which the connection is reset.
	Break float64
	// Garble is the share (0 to 1) of pieces in which a byte is changed.
	Garble float64
	// Junk replaces everything by random bytes.
	Junk bool
	// Refuse lets new connections end at once. It is looked at from the dialler's side.
	Refuse bool
}

// retransmission is the least time that Linux waits before it sends again (TCP_RTO_MIN, 200 ms); it doubles each time.
const retransmission = 200 * time.Millisecond

// Validate says what is wrong with an effect.
func (e Effect) Validate() error {
	var errs []error
	for name, share := range map[string]float64{"loss": e.Loss, "break": e.Break, "garble": e.Garble} {
		if !(share >= 0 && share <= 1) { // a NaN is neither
			errs = append(errs, fmt.Errorf("%s: %v is no share: want 0 to 1", name, share))
		}
	}
	if e.Delay < 0 || e.Jitter < 0 {
		errs = append(errs, fmt.Errorf("delay %v, jitter %v: nothing arrives before it was sent", e.Delay, e.Jitter))
	}
	if e.Rate < 0 {
		errs = append(errs, fmt.Errorf("rate: %d bytes per second", e.Rate))
	}
	return errors.Join(errs...)
}

// and is both effects at once.
func (e Effect) and(o Effect) Effect {
	rate := max(e.Rate, o.Rate)
	if e.Rate > 0 && o.Rate > 0 {
		rate = min(e.Rate, o.Rate)
	}
	either := func(a, b float64) float64 { return 1 - (1-a)*(1-b) }
	return Effect{
		Hold: e.Hold || o.Hold, Delay: e.Delay + o.Delay, Jitter: e.Jitter + o.Jitter, Rate: rate,
		Loss: either(e.Loss, o.Loss), Break: either(e.Break, o.Break), Garble: either(e.Garble, o.Garble),
		Junk: e.Junk || o.Junk, Refuse: e.Refuse || o.Refuse,
	}
}
