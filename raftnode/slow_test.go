//go:build !race

package raftnode

// slowed: see slow_race_test.go.
const slowed = false
