//go:build failpoints

package storage

// A short test does not fill a log of 64 MiB, most of which is free then.
func init() { shrinkWaste, shrinkShare = 8<<10, 0 }
