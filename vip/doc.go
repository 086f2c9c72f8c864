// Package vip decides when this node holds the group's virtual addresses. It promises that an address is held only while a majority of the group has
// confirmed, recently enough, that this node leads: everything that holds does so until a deadline, and nothing has to run for the address to go when
// the deadline passes. How an address comes onto a machine is a Keeper's business: the guard process (vip/guard) or a program (vip/hook). DNS for those
// without a virtual address is in vip/dns.
package vip
