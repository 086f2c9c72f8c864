// Package client asks a virtual address as users do: over fresh connections at a steady pace whatever becomes of them (Probe), over connections that are
// kept (Lasting), and as the owners of many sessions who come back after a take-over (Sessions). What answers is expected to be the sample application,
// with the node that asked it in the header NodeHeader.
package client
