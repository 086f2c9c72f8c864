package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// StatusSet is a set of HTTP status codes from 100 to 599. The zero value is empty; sets compare with ==.
type StatusSet [8]uint64

// Contains tells whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	i := uint(code - 100)
	return code >= 100 && code <= 599 && s[i/64]>>(i%64)&1 == 1
}

func (s *StatusSet) add(code int) { s[(code-100)/64] |= 1 << ((code - 100) % 64) }

// ParseExpect reads the healthy status codes of a health check: codes and ranges from 100 to 599 with commas between
// them, as in "100-500" (SUN-11) or "200,204,300-399". Both ends of a range count.
func ParseExpect(text string) (StatusSet, error) {
	var s StatusSet
	if len(text) > 1000 {
		return s, errors.New("more than 1000 characters")
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err := statusCode(low)
		if err != nil {
			return StatusSet{}, err
		}
		to, err := statusCode(high)
		if err != nil {
			return StatusSet{}, err
		}
		if from > to {
			return StatusSet{}, fmt.Errorf("range %d-%d runs backwards", from, to)
		}
		for code := from; code <= to; code++ {
			s.add(code)
		}
	}
	return s, nil
}

func statusCode(text string) (int, error) {
	text = strings.TrimSpace(text)
	code, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || code < 100 || code > 599 {
		return 0, fmt.Errorf("%q is not a status code from 100 to 599", clip(text))
	}
	return code, nil
}
