// Package attack tries the ways in which clients and instances hurt a proxy, against a real process: ambiguous requests with real application servers
// behind, slow clients, bombs, floods, and instances that lie. The corpus is internal/hostile's. A neighbour sends ordinary requests meanwhile: each of
// them must be answered, and how long they wait is the figure.
//
// Everything goes through the listener's address, so it holds for whatever engine serves there. `make test-smuggling` runs the part that needs nginx and
// Tomcat; the rest runs with the other tests of real processes.
package attack
