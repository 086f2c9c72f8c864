// Package doctor looks at a machine and a data directory with the eyes of a node that is to run there, or runs: what is wrong, and how to mend it.
//
// It promises to change nothing: no file of the node is opened for writing, no address or rule of the kernel is touched, and whoever is asked learns nothing but that somebody asked. It works beside a node that runs, whose
// own word then counts for what only it can know, and for one that does not. What cannot be looked at, for want of rights or because the node runs, is said, and is not taken for good.
//
// It does not judge the group: holdfast status does. What the status of a node has to say is passed on.
package doctor
