// Package shelf keeps the bytes of values on disk by their SHA-256: what a node keeps beside the log of the group.
//
// Put returns when the bytes are on the disk to stay: written beside, synced, named, and the directory synced. A file has a name when it is whole, or never. Get compares what it reads with the hash;
// a file that does not fit is taken away, so that it is missing instead of wrong.
//
// Nobody removes a single value. Sweep throws away what its caller does not need any more, after a time: what has just been put and is not named anywhere yet stays for Fresh, what was needed before
// for Spent. Put and Keep have the time begin anew; what was there already then stays for Fresh whoever needed it before. After Open everything counts as just put again. The times are counted up to when
// the caller found out what it needs: it may have stood still since then.
//
// A Shelf may be used by several goroutines at once, and belongs to one process.
package shelf
