// Package sun reads and writes loadbalancer.xml, the file of the load-balancer plug-in of Sun ONE, Sun Java System and GlassFish application servers
// (sun-loadbalancer_1_0.dtd to 1_2.dtd).
package sun
