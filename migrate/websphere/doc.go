// Package websphere reads plugin-cfg.xml, the file of the web server plug-in of WebSphere and Liberty application servers.
package websphere
