//go:build !amd64

package warp

const supported = false

func replacement(int64) ([]byte, int64) { panic("BUG: no code for this architecture") }
