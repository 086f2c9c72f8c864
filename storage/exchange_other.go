//go:build !linux

package storage

import (
	"errors"
	"fmt"
)

// Exchange needs Linux.
func Exchange(a, b string) (done bool, err error) {
	return false, fmt.Errorf("exchange %s and %s: %w", a, b, errors.ErrUnsupported)
}
