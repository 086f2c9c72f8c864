// Command tomcat drives three real Tomcats behind three real nodes; scripts/tomcat.sh runs it (`make test-tomcat`).
//
// 200 clients with cookie jars keep attributes on the session page of Tomcat's own examples while nodes are killed: the
// leader, a follower, then all three. No session may change its instance or lose an attribute. Then one Tomcat is killed:
// each of its sessions must move once, to one other instance, and all nodes must agree on it. It does all of that twice,
// with Tomcats that mark their session ids with a jvmRoute and with Tomcats that do not, and ends with a table and exit
// status 1 when anything was lost.
package main
