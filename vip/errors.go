package vip

import "errors"

var (
	// ErrTooLate: the deadline had passed before the addresses could be taken.
	ErrTooLate = errors.New("the lease has run out")
	// ErrNoRelay: connections cannot be relayed from this machine (no nftables, or the keeper is a program).
	ErrNoRelay = errors.New("connections cannot be relayed")
)
