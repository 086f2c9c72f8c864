// Package server assembles one node: the data directory, the replicated state, the member of the group, the data plane and the admin
// API. It is the only package that knows all the others; they meet here through the small interfaces that each of them declares.
//
// A Server is made by New from a Config that says everything about this one node (what all nodes share lives in the replicated state), and
// runs until its context ends; then it leaves in the order that costs clients least: not ready, leadership handed over, requests finished, closed.
package server
