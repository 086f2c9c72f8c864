// Package streams tries listeners of protocol tcp against real nodes: clients stay with their instance when the leader is killed, and programs that know
// nothing of Holdfast work through it. `make test-tcp` runs the part that needs Redis, PostgreSQL and HAProxy; the rest runs with the other tests of real
// processes.
//
// It has no code but that of its tests.
package streams
