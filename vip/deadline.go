package vip

import "time"

// After is the deadline that is d later (earlier, when d is negative).
func (t Deadline) After(d time.Duration) Deadline { return t + Deadline(d) }

// Sub is how much later t is than earlier.
func (t Deadline) Sub(earlier Deadline) time.Duration { return time.Duration(t - earlier) }
