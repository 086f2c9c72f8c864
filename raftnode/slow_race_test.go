//go:build race

package raftnode

// slowed: the race detector makes everything several times slower. The time-outs of the profile fast are not for that, and no times are judged.
const slowed = true
