// Package netlab builds small networks out of Linux network namespaces for tests: nodes on one bridge, whose cables can be pulled, whose port at the
// switch can be cut, and whose packets can be lost in one direction. The kernels' part is real; only the cables are not.
//
// It needs root, network namespaces (CONFIG_NET_NS), veth, bridge, and for Mute and Deaf nftables' netdev hooks (Linux 5.16). Whatever it makes is removed
// when the test ends, together with the processes that are left in the namespaces; what a killed test run left behind goes when the next one begins.
// All methods fail the test when the kernel refuses: a network that is not as the test says proves nothing. Programs that are no tests have a Scope in the place of one.
//
// On other systems than Linux the package is empty.
package netlab
